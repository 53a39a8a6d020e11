package snapshotstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flotilla/internal/assert"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/snapshottest"
)

// tamper is a connection whose bytes can be looked at and changed on their way: touch gets their position in the stream.
type tamper struct {
	io.ReadWriteCloser
	at    int64
	touch func(at int64, p []byte) error
}

func (c *tamper) Write(p []byte) (int, error) {
	p = bytes.Clone(p)
	if err := c.touch(c.at, p); err != nil {
		return 0, errors.Join(err, c.Close())
	}
	c.at += int64(len(p))
	return c.ReadWriteCloser.Write(p)
}

// result is how both sides of a session ended.
type result struct {
	header     snapshotstream.Header
	sent       snapshotstream.Sent
	send, recv error
}

// transfer runs a session over a pipe. toReceiver and toSender see the bytes on their way.
func transfer(ctx context.Context, x *snapshotstream.Snapshot, s *snapshotstream.Store, sc snapshotstream.SendConfig, rc snapshotstream.ReceiveConfig, toReceiver, toSender func(int64, []byte) error) result {
	asIs := func(int64, []byte) error { return nil }
	if toReceiver == nil {
		toReceiver = asIs
	}
	if toSender == nil {
		toSender = asIs
	}
	a, b := newPipe()
	var res result
	var both sync.WaitGroup
	both.Go(func() {
		res.sent, res.send = snapshotstream.Send(ctx, &tamper{ReadWriteCloser: a, touch: toReceiver}, x, sc)
		_ = a.Close()
	})
	both.Go(func() {
		res.header, res.recv = snapshotstream.Receive(ctx, &tamper{ReadWriteCloser: b, touch: toSender}, s, rc)
		_ = b.Close()
	})
	both.Wait()
	return res
}

func TestSession(t *testing.T) {
	for _, n := range []int{0, 1, chunk, 5*chunk + 3, 200 * chunk} {
		x := source(t, 4, 12, n)
		disk := snapshottest.NewDisk()
		s := open(t, disk)
		var seen []uint64
		res := transfer(t.Context(), x, s, snapshotstream.SendConfig{Progress: func(d uint64) { seen = append(seen, d) }}, snapshotstream.ReceiveConfig{}, nil, nil)
		if res.send != nil || res.recv != nil || res.sent.Bytes != uint64(n) || res.header.ID != x.Header().ID {
			t.Fatalf("%d bytes: %+v", n, res)
		}
		body, err := read(s, res.header)
		if err != nil || !bytes.Equal(body, bodyOf(12, n)) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if last := seen[len(seen)-1]; last != uint64(n) {
			t.Errorf("%d bytes: progress ends at %d", n, last)
		}
		res = transfer(t.Context(), x, s, snapshotstream.SendConfig{}, snapshotstream.ReceiveConfig{}, nil, nil)
		if res.send != nil || !errors.Is(res.recv, snapshotstream.ErrHeld) || res.sent.Bytes != 0 {
			t.Errorf("%d bytes again: %+v", n, res)
		}
	}
}

// N5: a connection that breaks anywhere costs what was in flight. All sessions together send little more than the
// snapshot, though each breaks after a few chunks and the receiver is killed each time.
func TestBrokenConnections(t *testing.T) {
	const chunks = 200
	one, other := source(t, 4, 12, chunks*chunk), source(t, 4, 12, chunks*chunk)
	rng := rand.New(rand.NewPCG(3, 3))
	disk := snapshottest.NewDisk()
	broken := errors.New("cable cut")
	var sent uint64
	for session := 0; ; session++ {
		s := open(t, disk)
		after := int64(rng.IntN(40 * chunk))
		cut := func(at int64, p []byte) error {
			if at+int64(len(p)) > after {
				return broken
			}
			return nil
		}
		x := one
		if session%2 == 1 {
			x = other
		}
		res := transfer(t.Context(), x, s, snapshotstream.SendConfig{}, snapshotstream.ReceiveConfig{}, cut, nil)
		sent += res.sent.Bytes
		if res.send == nil && res.recv == nil {
			t.Logf("%d sessions, %d bytes sent of %d", session+1, sent, chunks*chunk)
			break
		}
		disk = disk.Restart(snapshottest.All)
		if session > 200 {
			t.Fatal("it does not come to an end")
		}
	}
	if limit := uint64(chunks * chunk * 12 / 10); sent > limit {
		t.Errorf("%d bytes sent, at most %d", sent, limit)
	}
	if list := open(t, disk).List(4); len(list) != 1 || list[0].ID != one.Header().ID {
		t.Errorf("held %v", list)
	}
}

// 1,000 flips of chance in what goes over the connection, in either direction: each is found; nothing but the
// snapshot itself is ever installed; and the next session ends well.
func TestThousandFlipsOnTheWay(t *testing.T) {
	x := source(t, 4, 12, 20*chunk+9)
	length, answers := traffic(t, x)
	rng := rand.New(rand.NewPCG(6, 1))
	for round := range 1000 {
		s := open(t, snapshottest.NewDisk())
		bit := rng.Int64N(8 * (length + answers))
		flip := func(bit int64) func(int64, []byte) error {
			return func(at int64, p []byte) error {
				if i := bit/8 - at; i >= 0 && i < int64(len(p)) {
					p[i] ^= 1 << (bit % 8)
				}
				return nil
			}
		}
		there, back := flip(bit), flip(-8)
		if bit >= 8*length {
			there, back = flip(-8), flip(bit-8*length)
		}
		res := transfer(t.Context(), x, s, snapshotstream.SendConfig{}, snapshotstream.ReceiveConfig{}, there, back)
		if res.send == nil {
			t.Fatalf("round %d, bit %d: the sender noticed nothing; the receiver: %v", round, bit, res.recv)
		}
		if bit < 8*length && res.recv == nil {
			t.Fatalf("round %d, bit %d: the receiver noticed nothing; the sender: %v", round, bit, res.send)
		}
		for _, h := range s.List(4) {
			if body, err := read(s, h); err != nil || !bytes.Equal(body, bodyOf(12, 20*chunk+9)) {
				t.Fatalf("round %d, bit %d: installed %+v: %v", round, bit, h, err)
			}
		}
		res = transfer(t.Context(), x, s, snapshotstream.SendConfig{}, snapshotstream.ReceiveConfig{}, nil, nil)
		if res.send != nil || res.recv != nil && !errors.Is(res.recv, snapshotstream.ErrHeld) {
			t.Fatalf("round %d, bit %d: then %+v", round, bit, res)
		}
	}
}

// traffic is how many bytes a session moves in each direction.
func traffic(t *testing.T, x *snapshotstream.Snapshot) (there, back int64) {
	t.Helper()
	count := func(n *int64) func(int64, []byte) error {
		return func(_ int64, p []byte) error { *n += int64(len(p)); return nil }
	}
	res := transfer(t.Context(), x, open(t, snapshottest.NewDisk()), snapshotstream.SendConfig{}, snapshotstream.ReceiveConfig{}, count(&there), count(&back))
	if res.send != nil || res.recv != nil {
		t.Fatal(res)
	}
	return there, back
}

// Rot on the sender's disk never leaves it, and is no fault of the receiver's.
func TestSendersFileIsDamaged(t *testing.T) {
	disk := snapshottest.NewDisk()
	from := open(t, disk)
	h := mustMake(t, from, 4, 12, 20*chunk)
	x := mustOpen(t, from, h)
	path := disk.Paths()[0]
	if err := disk.Flip(path, 8*disk.Size(path)/2); err != nil {
		t.Fatal(err)
	}
	s := open(t, snapshottest.NewDisk())
	for range 3 {
		res := transfer(t.Context(), x, s, snapshotstream.SendConfig{}, snapshotstream.ReceiveConfig{}, nil, nil)
		var out *snapshotstream.QuarantinedError
		if !errors.Is(res.send, snapshotstream.ErrCorrupt) || !errors.Is(res.recv, io.EOF) || errors.As(res.recv, &out) {
			t.Fatalf("%+v", res)
		}
	}
	if res := transfer(t.Context(), source(t, 4, 12, 20*chunk), s, snapshotstream.SendConfig{}, snapshotstream.ReceiveConfig{}, nil, nil); res.send != nil || res.sent.From == 0 {
		t.Errorf("from a sound one: %+v", res)
	}
}

// Every refusal reaches the sender with its reason.
func TestRefusals(t *testing.T) {
	x := source(t, 4, 12, 20*chunk)
	no := errors.New("no such group here")
	for _, c := range []struct {
		name   string
		reason snapshotstream.Reason
		store  func(s *snapshotstream.Store, disk *snapshottest.Disk)
		rc     snapshotstream.ReceiveConfig
		is     error
	}{
		{"not wanted", snapshotstream.ReasonNotWanted, nil, snapshotstream.ReceiveConfig{Wants: func(snapshotstream.Header) error { return no }}, no},
		{"overtaken", snapshotstream.ReasonOvertaken, func(s *snapshotstream.Store, _ *snapshottest.Disk) { mustMake(t, s, 4, 13, 1) }, snapshotstream.ReceiveConfig{}, snapshotstream.ErrOvertaken},
		{"no space", snapshotstream.ReasonNoSpace, func(_ *snapshotstream.Store, d *snapshottest.Disk) { d.Limit(9 * chunk) }, snapshotstream.ReceiveConfig{}, nil},
		{"stale", snapshotstream.ReasonStale, nil, snapshotstream.ReceiveConfig{Admit: func(snapshotstream.Stamp) error { return no }}, no},
		{"disk", snapshotstream.ReasonFailed, func(_ *snapshotstream.Store, d *snapshottest.Disk) { d.CutAfter(0) }, snapshotstream.ReceiveConfig{}, snapshottest.ErrCut},
	} {
		disk := snapshottest.NewDisk()
		s := open(t, disk)
		if c.store != nil {
			c.store(s, disk)
		}
		res := transfer(t.Context(), x, s, snapshotstream.SendConfig{}, c.rc, nil, nil)
		var refused *snapshotstream.RefusedError
		if !errors.As(res.send, &refused) || refused.Reason != c.reason || res.recv == nil || c.is != nil && !errors.Is(res.recv, c.is) {
			t.Errorf("%s: %+v", c.name, res)
		}
	}
}

// Two sessions with a flipped chunk, and the third is refused with the name of it (P36).
func TestSenderIsToldOfTheQuarantine(t *testing.T) {
	x := source(t, 4, 12, 20*chunk)
	s := open(t, snapshottest.NewDisk())
	flip := func(_ int64, p []byte) error {
		if len(p) > chunk {
			p[chunk/2] ^= 1
		}
		return nil
	}
	for i, want := range []snapshotstream.Reason{snapshotstream.ReasonCorrupt, snapshotstream.ReasonQuarantined, snapshotstream.ReasonQuarantined} {
		res := transfer(t.Context(), x, s, snapshotstream.SendConfig{}, snapshotstream.ReceiveConfig{}, flip, nil)
		var refused *snapshotstream.RefusedError
		if !errors.As(res.send, &refused) || refused.Reason != want {
			t.Errorf("session %d: %+v", i, res)
		}
	}
}

// P25: each frame of the sender carries its epochs as of when it is written, and is refused by them: a node that is
// overtaken in the middle of a transfer is stopped there.
func TestFramesCarryEpochs(t *testing.T) {
	x := source(t, 4, 12, 200*chunk)
	s := open(t, snapshottest.NewDisk())
	var written, seen int
	stale := errors.New("stale authority")
	res := transfer(t.Context(), x, s, snapshotstream.SendConfig{
		Stamp: func() snapshotstream.Stamp {
			written++
			return snapshotstream.Stamp{Observed: 9, Applied: snapshotstream.Epoch(written)}
		},
		Admit: func(st snapshotstream.Stamp) error {
			if st != (snapshotstream.Stamp{Observed: 7, Applied: 7}) {
				return fmt.Errorf("answer with %+v", st)
			}
			return nil
		},
	}, snapshotstream.ReceiveConfig{
		Stamp: func() snapshotstream.Stamp { return snapshotstream.Stamp{Observed: 7, Applied: 7} },
		Admit: func(st snapshotstream.Stamp) error {
			if seen++; st != (snapshotstream.Stamp{Observed: 9, Applied: snapshotstream.Epoch(seen)}) {
				return fmt.Errorf("frame %d with %+v", seen, st)
			}
			if seen == 100 {
				return stale
			}
			return nil
		},
	}, nil, nil)
	var refused *snapshotstream.RefusedError
	if !errors.As(res.send, &refused) || refused.Reason != snapshotstream.ReasonStale || !errors.Is(res.recv, stale) {
		t.Errorf("%+v", res)
	}
	if _, durable, ok := s.Staged(4); !ok || durable != 98*chunk {
		t.Errorf("%d bytes are here: an offer and 98 chunks were admitted", durable)
	}
}

// D72: a peer that stalls ends the session when patience does, on either side; what came stays.
func TestStalledPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := source(t, 4, 12, 200*chunk)
		s := open(t, snapshottest.NewDisk())
		begin := time.Now()
		a, b := net.Pipe() // nobody reads at b
		if _, err := snapshotstream.Send(t.Context(), a, x, snapshotstream.SendConfig{Patience: time.Minute}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a stalled receiver: %v", err)
		}
		// One patience for the frame, one for what the receiver may have said about it.
		if d := time.Since(begin); d != 2*time.Minute {
			t.Errorf("that took %v", d)
		}
		_, _ = a.Close(), b.Close()

		begin = time.Now()
		a, b = net.Pipe()
		var sender sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		sender.Go(func() {
			_, _ = snapshotstream.Send(ctx, &tamper{ReadWriteCloser: a, touch: func(at int64, p []byte) error {
				if at > 100*chunk {
					<-ctx.Done()
				}
				return nil
			}}, x, snapshotstream.SendConfig{})
		})
		if _, err := snapshotstream.Receive(t.Context(), b, s, snapshotstream.ReceiveConfig{}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a stalled sender: %v", err)
		}
		if d := time.Since(begin); d != 30*time.Second {
			t.Errorf("that took %v", d)
		}
		_ = b.Close()
		cancel()
		sender.Wait()
		if _, durable, ok := s.Staged(4); !ok || durable < 90*chunk {
			t.Errorf("%d bytes are here", durable)
		}
	})
}

// P7: a context that ends ends both sides at once, whatever they wait for.
func TestCancelledSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := source(t, 4, 12, 200*chunk)
		closing := errors.New("closing")
		for side := range 2 {
			begin := time.Now()
			ctx, cancel := context.WithCancelCause(t.Context())
			a, b := net.Pipe()
			done := make(chan error, 1)
			go func() {
				if side == 0 {
					_, err := snapshotstream.Send(ctx, a, x, snapshotstream.SendConfig{})
					done <- err
				} else {
					_, err := snapshotstream.Receive(ctx, a, open(t, snapshottest.NewDisk()), snapshotstream.ReceiveConfig{})
					done <- err
				}
			}()
			synctest.Wait()
			cancel(closing)
			if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, closing) || time.Since(begin) != 0 {
				t.Errorf("side %d after %v: %v", side, time.Since(begin), err)
			}
			_, _ = a.Close(), b.Close()
		}
	})
}

// Neither side holds a snapshot in memory: a transfer of 64 MiB allocates a small part of it on both sides together.
func TestMemoryIsBounded(t *testing.T) {
	cfg := snapshotstream.Config{Dir: t.TempDir()}
	from, err := snapshotstream.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Dir = t.TempDir()
	to, err := snapshotstream.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w, err := from.Create(stateAt(4, 12))
	if err != nil {
		t.Fatal(err)
	}
	piece := bodyOf(1, 1<<16)
	for range 1024 {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	h, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	res := transfer(t.Context(), mustOpen(t, from, h), to, snapshotstream.SendConfig{}, snapshotstream.ReceiveConfig{}, nil, nil)
	if res.send != nil || res.recv != nil || res.sent.Bytes != 64<<20 {
		t.Fatalf("%+v", res)
	}
	runtime.ReadMemStats(&after)
	pipe := uint64(64 << 20) // what tamper clones
	limit := uint64(8 << 20)
	if assert.Costly { // set with the race detector, under which sync.Pool forgets at random
		limit += 2 * pipe
	}
	if n := after.TotalAlloc - before.TotalAlloc - pipe; n > limit {
		t.Errorf("%d bytes allocated, %d at most", n, limit)
	}
	again, err := snapshotstream.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if list := again.List(4); len(list) != 1 || list[0].ID != h.ID || len(again.Recovered()) != 0 {
		t.Errorf("after a restart: %v, %v", list, again.Recovered())
	}
	if err := again.Drop(4); err != nil {
		t.Error(err)
	}
}
