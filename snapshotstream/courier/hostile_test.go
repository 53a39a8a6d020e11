package courier

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flotilla/epoch"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// A file that is damaged here is set aside, and its name goes no further: the engine has another one made.
func TestDamagedHere(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *world, a, _ *node) {
		a.make(10, 40*chunk)
		a.make(20, 40*chunk)
		at := slices.IndexFunc(a.disk.Paths(), func(p string) bool { return strings.Contains(p, "20-") && filepath.Ext(p) == ".snap" })
		if err := a.disk.Flip(a.disk.Paths()[at], 30*chunk*8); err != nil {
			t.Fatal(err)
		}
		if err := a.deliver(2, 20, 1); !errors.Is(err, snapshotstream.ErrCorrupt) {
			t.Fatal(err)
		}
		if h, ok := a.store.Newest(group); !ok || h.Index != 10 {
			t.Errorf("the newest is at %d", h.Index)
		}
		if err := a.deliver(2, 20, 15); !errors.Is(err, snapshotstream.ErrNotHeld) {
			t.Errorf("again: %v", err)
		}
		if err := a.deliver(2, 10, 1); err != nil {
			t.Errorf("the one before: %v", err)
		}
	})
}

// What the receiver's store says reaches the sender's engine as it was said.
func TestStoreRefuses(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *world, a, b *node) {
		a.make(20, 400*chunk)
		b.disk.Limit(100 * chunk)
		var refused *snapshotstream.RefusedError
		if err := a.deliver(2, 20, 1); !errors.As(err, &refused) || refused.Reason != snapshotstream.ReasonNoSpace {
			t.Error(err)
		}
		synctest.Wait()
		if len(b.failed) != 1 || len(b.installs()) != 0 {
			t.Errorf("told %v", b.failed)
		}
	})
}

// A group's machine takes over one snapshot at a time. What came meanwhile, or could not be installed, is not lost: it is installed when any is
// offered again, even an older one.
func TestInstalls(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world, a, b *node) {
		c := w.node(3, nil)
		c.make(20, 5*chunk)
		a.make(20, 5*chunk)
		a.make(30, 5*chunk)
		release := make(chan error)
		b.install = func(ctx context.Context, s wire.Snapshot) error {
			select {
			case err := <-release:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if err := a.deliver(2, 30, 25); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the sender is told before the machine is
		if err := a.deliver(2, 30, 25); wire.CodeOf(err) != wire.CodeOverloaded {
			t.Errorf("amid an install: %v", err)
		}
		release <- errors.New("machine says no")
		synctest.Wait()
		if len(b.failed) != 1 || !strings.Contains(b.failed[0].Error(), "machine says no") {
			t.Errorf("told %v", b.failed)
		}
		var refused *snapshotstream.RefusedError
		if err := c.deliver(2, 20, 1); !errors.As(err, &refused) || refused.Reason != snapshotstream.ReasonOvertaken {
			t.Errorf("an older one: %v", err)
		}
		if got := b.installs(); !slices.Equal(got, []wire.Index{30, 30}) {
			t.Errorf("installed %v", got)
		}
		// An engine takes nothing over that was not announced in this life, and the one that was may have been in another.
		if last := b.offered[len(b.offered)-1]; last.Index != 30 || last.LogTerm != 3 || last.From != 3 {
			t.Errorf("announced last: %+v", last)
		}
		began := time.Now() // the machine is at it still: P7
		if b.Close(); time.Since(began) != 0 {
			t.Errorf("closed after %v", time.Since(began))
		}
	})
}

// One that comes whole while another one is being installed waits in the store.
func TestOneInstallAtATime(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world, a, b *node) {
		c := w.node(3, nil)
		c.make(20, 5*chunk)
		h := a.make(30, 5*chunk)
		x, err := a.store.Open(group, 30)
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		release := make(chan error)
		b.install = func(context.Context, wire.Snapshot) error { return <-release }
		mine, theirs := newPipe()
		w.served.Go(func() { b.Serve(context.Background(), 1, theirs) })
		calls(mine, &call{stamp: a.fence.Stamp(), m: announce(1, 2, 30), offers: []offer{{30, h.ID}}})
		if _, err := readFrame(mine); err != nil { // agreed
			t.Fatal(err)
		}
		if err := c.deliver(2, 20, 1); err != nil {
			t.Fatal(err)
		}
		if _, err := snapshotstream.Send(t.Context(), mine, x, snapshotstream.SendConfig{Stamp: a.stamp}); err != nil {
			t.Fatal(err)
		}
		if got := b.installs(); !slices.Equal(got, []wire.Index{20}) {
			t.Errorf("installs %v at once", got)
		}
		release <- nil
		synctest.Wait()
		if err := a.deliver(2, 30, 25); err != nil {
			t.Fatal(err)
		}
		if got := b.installs(); !slices.Equal(got, []wire.Index{20, 30}) {
			t.Errorf("installed %v", got)
		}
		release <- nil
	})
}

// What is here whole is installed though the line broke in front of the last answer.
func TestLastAnswerIsLost(t *testing.T) {
	said := 0
	for _, cut := range []bool{false, true} {
		bubble(t, nil, func(t *testing.T, w *world, a, b *node) {
			a.make(20, 5*chunk)
			w.serve = func(receiver *pipe) {
				if cut {
					receiver.limit = said
				}
				b.Serve(context.Background(), 1, receiver)
				said = receiver.written
			}
			if err := a.deliver(2, 20, 1); (err != nil) != cut {
				t.Errorf("cut %v: %v", cut, err)
			}
			w.served.Wait()
			if got := b.installs(); !slices.Equal(got, []wire.Index{20}) || len(b.failed) != 0 {
				t.Errorf("cut %v: installed %v, told %v", cut, got, b.failed)
			}
		})
	}
}

// P36: every bit that changes on the way is found, and what was changed is never installed.
func TestFlippedBitsInFlight(t *testing.T) {
	const size = 30 * chunk
	rng := rand.New(rand.NewPCG(3, 4))
	found := 0
	for range 1000 {
		bubble(t, nil, func(t *testing.T, w *world, a, b *node) {
			a.make(20, size)
			w.line = func(sender *pipe) { sender.flip = 1 + rng.IntN(size) }
			if err := a.deliver(2, 20, 1); err == nil {
				b.check(20, size) // it was in what does not count
				return
			}
			found++
			w.served.Wait()
			if h, ok := b.store.Newest(group); ok || len(b.installs()) != 0 {
				t.Fatalf("the receiver holds %+v", h)
			}
			w.line = nil
			if err := a.deliver(2, 20, 1); err != nil {
				t.Fatal(err)
			}
			b.check(20, size)
		})
	}
	if found < 950 {
		t.Errorf("%d of 1000 flips were found", found)
	}
}

// Senders that lie are told so, or nothing, and leave nothing behind; no operator hears of it.
func TestHostileSenders(t *testing.T) {
	with := func(change func(*call)) []byte {
		c := call{stamp: epoch.Stamp{Observed: 5, Applied: 5}, m: announce(1, 2, 20), offers: []offer{{index: 20}}}
		change(&c)
		var b bytes.Buffer
		calls(&b, &c)
		return b.Bytes()
	}
	whole := with(func(*call) {})
	later := bytes.Clone(whole)
	later[4], later[5] = 0x96, 2 // more fields, of which the first says why
	for name, c := range map[string]struct {
		sends []byte
		code  wire.Code
		says  string
	}{
		"nothing":                {nil, 0, ""},
		"half a frame":           {whole[:len(whole)-1], 0, ""},
		"noise":                  {bytes.Repeat([]byte{1}, 4000), wire.CodeBadRequest, "frame of"},
		"noise in a frame":       {append([]byte{0, 0, 1, 0}, bytes.Repeat([]byte{1}, 256)...), wire.CodeBadRequest, "not a frame"},
		"a later version":        {append(later, 1), wire.CodeBadRequest, "version 2"},
		"in another node's name": {with(func(c *call) { c.m.From = 3 }), wire.CodeBadRequest, "for node 3"},
		"another message":        {with(func(c *call) { c.m.Type = wire.MsgHeartbeat }), wire.CodeBadRequest, "offers"},
		"no snapshot":            {with(func(c *call) { c.offers = nil }), wire.CodeBadRequest, "0 offers"},
		"too many snapshots":     {with(func(c *call) { c.offers = slices.Repeat(c.offers, maxOffers+1) }), wire.CodeBadRequest, "array"},
		"a later snapshot":       {with(func(c *call) { c.offers[0].index = 21 }), wire.CodeBadRequest, "was not announced"},
		"an epoch that is over":  {with(func(c *call) { c.stamp.Applied = 4 }), wire.CodeStaleEpoch, "epoch"},
		"an epoch out of reach":  {with(func(c *call) { c.stamp.Observed = 1 << 40 }), wire.CodeStaleEpoch, "epoch"},
		"a contradictory epoch":  {with(func(c *call) { c.stamp.Applied = 6 }), wire.CodeStaleEpoch, "epoch"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, _ *world, _, b *node) {
				before := b.disk.Paths()
				mine, theirs := newPipe()
				_, _ = mine.Write(c.sends)
				mine.endWriting()
				b.Serve(t.Context(), 1, theirs)
				raw, err := readFrame(mine)
				if c.code == 0 {
					if err == nil {
						t.Errorf("heard %x", raw)
					}
				} else if err != nil {
					t.Errorf("heard nothing: %v", err)
				} else if p, err := parseReply(raw); err != nil || p.no == nil || wire.CodeOf(p.no) != c.code || !strings.Contains(p.no.Error(), c.says) {
					t.Errorf("heard %v, %v", p.no, err)
				}
				if after := b.disk.Paths(); !slices.Equal(before, after) || len(b.installs())+len(b.Transfers())+len(b.failed) != 0 {
					t.Errorf("left %v behind; told %v", after, b.failed)
				}
			})
		})
	}
}

// Another snapshot than the one agreed on, or one of another term than announced, is not taken.
func TestOtherThanAgreed(t *testing.T) {
	for name, lie := range map[string]func(*call){
		"id":    func(c *call) { c.offers[0].id[3] ^= 1 },
		"index": func(c *call) { c.offers[0].index, c.m.Index = 19, 19 },
		"group": func(c *call) { c.m.Group++ },
		"term":  func(c *call) { c.m.LogTerm = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, _ *world, a, b *node) {
				h := a.make(20, 5*chunk)
				x, err := a.store.Open(group, 20)
				if err != nil {
					t.Fatal(err)
				}
				defer x.Close()
				mine, theirs := newPipe()
				c := call{stamp: a.fence.Stamp(), m: announce(1, 2, 20), offers: []offer{{20, h.ID}}}
				lie(&c)
				calls(mine, &c)
				served := make(chan struct{})
				go func() {
					defer close(served)
					b.Serve(t.Context(), 1, theirs)
				}()
				if _, err := readFrame(mine); err != nil {
					t.Fatal(err)
				}
				var refused *snapshotstream.RefusedError
				_, err = snapshotstream.Send(t.Context(), mine, x, snapshotstream.SendConfig{Stamp: a.stamp})
				if !errors.As(err, &refused) || refused.Reason != snapshotstream.ReasonNotWanted {
					t.Error(err)
				}
				<-served
				if _, _, ok := b.store.Staged(group); ok || len(b.installs()) != 0 {
					t.Error("it was taken")
				}
			})
		})
	}
}

// Receivers that lie are an error of theirs, not a damaged file here.
func TestHostileReceivers(t *testing.T) {
	said := func(p reply) []byte {
		p.stamp = epoch.Stamp{Observed: 5, Applied: 5}
		var b bytes.Buffer
		says(&b, &p)
		return b.Bytes()
	}
	for name, says := range map[string][]byte{
		"noise":                {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20},
		"another snapshot":     said(reply{index: 19}),
		"neither yes nor no":   said(reply{}),
		"yes and no":           said(reply{index: 20, no: &wire.Error{Code: wire.CodeOverloaded}}),
		"noise in the session": append(said(reply{index: 20}), bytes.Repeat([]byte{1}, 100)...),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, w *world, a, b *node) {
				a.make(20, 5*chunk)
				w.serve = func(receiver *pipe) {
					_, _ = receiver.Write(says)
					receiver.endWriting()
				}
				if err := a.deliver(2, 20, 1); err == nil || errors.Is(err, snapshotstream.ErrCorrupt) {
					t.Error(err)
				}
				if _, ok := a.store.Newest(group); !ok {
					t.Error("set aside")
				}
			})
		})
	}
}
