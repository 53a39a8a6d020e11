package courier

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flotilla/epoch"
	"flotilla/quictransport"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// calls and says write what a sender and a receiver begin with.
func calls(w io.Writer, c *call) {
	_ = writeFrame(w, func(dst []byte) []byte { return appendCall(dst, c) })
}

func says(w io.Writer, p *reply) {
	_ = writeFrame(w, func(dst []byte) []byte { return appendReply(dst, p) })
}

func TestCarry(t *testing.T) {
	for _, size := range []int{0, 1, 300 * chunk} {
		bubble(t, nil, func(t *testing.T, _ *world, a, b *node) {
			a.make(20, size)
			x := a.send(2, 20, 1)
			if err := <-x.ended; err != nil || x.moved == 0 {
				t.Fatalf("%v, moved %d times", err, x.moved)
			}
			b.check(20, size)
			if got := b.installs(); !slices.Equal(got, []wire.Index{20}) || b.installed[0].Term != 3 || len(b.installed[0].Membership.Voters) != 2 {
				t.Fatalf("installed %+v", b.installed)
			}
			if len(b.offered) != 1 || b.offered[0].Index != 20 || b.offered[0].From != 1 {
				t.Errorf("offered %+v", b.offered)
			}
			if out, in := a.Stats(), b.Stats(); out != (Stats{SentBytes: uint64(size)}) || in != (Stats{ReceivedBytes: uint64(size)}) {
				t.Errorf("sender counts %+v, receiver %+v", out, in)
			}
			if len(a.Transfers())+len(b.Transfers())+len(b.failed) != 0 {
				t.Error("a transfer is left in the books")
			}
		})
	}
}

// What is here already is not sent again; the engine is told of it, for that is why it was offered.
func TestHeldIsInstalled(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *world, a, b *node) {
		a.make(20, 50*chunk)
		b.make(20, 50*chunk)
		if err := a.deliver(2, 20, 1); err != nil || a.Stats().SentBytes != 0 {
			t.Fatalf("%v, %d bytes sent", err, a.Stats().SentBytes)
		}
		if got := b.installs(); !slices.Equal(got, []wire.Index{20}) {
			t.Errorf("installed %v", got)
		}
	})
}

// F27: who lacks nothing says so before it gets any data, and the sender's engine learns it with its code.
func TestNotWanted(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *world, a, b *node) {
		a.make(20, 50*chunk)
		b.offer = func(context.Context, wire.Message) error {
			return &wire.Error{Code: wire.CodeNotApplied, Group: group, Detail: "has it"}
		}
		err := a.deliver(2, 20, 1)
		if wire.CodeOf(err) != wire.CodeNotApplied || !strings.Contains(err.Error(), "has it") {
			t.Fatal(err)
		}
		if s := a.Stats(); s.SentBytes != 0 || s.Refused != 1 || b.Stats().Refused != 1 || len(b.failed) != 0 || len(b.installs()) != 0 {
			t.Errorf("sender %+v, receiver %+v", s, b.Stats())
		}
		b.offer = func(context.Context, wire.Message) error { return errors.New("trouble") }
		if err := a.deliver(2, 20, 1); wire.CodeOf(err) != wire.CodeInternal {
			t.Error(err)
		}
		b.offer = func(ctx context.Context, _ wire.Message) error { <-ctx.Done(); return ctx.Err() }
		if err := a.deliver(2, 20, 1); wire.CodeOf(err) != wire.CodeInternal {
			t.Errorf("an engine that does not answer: %v", err)
		}
	})
}

// N5: the line breaks at 20 places, senders take turns, the receiver is killed now and then; all sessions together send little more
// than the snapshot.
func TestBrokenLines(t *testing.T) {
	const size = 2000 * chunk
	bubble(t, nil, func(t *testing.T, w *world, a, b *node) {
		c := w.node(3, nil)
		a.make(20, size)
		c.make(20, size)
		rng := rand.New(rand.NewPCG(5, 5))
		for i := range 20 {
			w.limit = 60 + rng.IntN(size/20) // never all that is left
			from := []*node{a, c}[i%2]
			if err := from.deliver(2, 20, 1); err == nil {
				t.Fatal("got there although the line was cut")
			}
			w.served.Wait()
			if i%3 == 0 {
				b.kill(nil)
			}
		}
		w.limit = 0
		if err := a.deliver(2, 20, 1); err != nil {
			t.Fatal(err)
		}
		b.check(20, size)
		sent := a.Stats().SentBytes + c.Stats().SentBytes
		t.Logf("%d bytes sent for %d", sent, size)
		if sent > size*12/10 || sent < size || a.Stats().Resumed == 0 || b.Stats().Resumed == 0 {
			t.Errorf("%d bytes sent for a snapshot of %d, resumed %d times", sent, size, a.Stats().Resumed)
		}
		if got := b.installs(); !slices.Equal(got, []wire.Index{20}) {
			t.Errorf("installed %v", got)
		}
	})
}

// N5: the snapshot of which a part is here is continued though there is a newer one, by whoever holds it, as long as the log goes on from it
// and it is still lacking.
func TestContinuesWhatIsHereInPart(t *testing.T) {
	for name, c := range map[string]struct {
		least, lacks, want wire.Index
	}{
		"it would do":                   {least: 15, lacks: 1, want: 20},
		"the log goes on behind it":     {least: 21, lacks: 1, want: 30},
		"the replica has come past it":  {least: 15, lacks: 25, want: 30},
		"the log goes on right from it": {least: 20, lacks: 20, want: 20},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, w *world, a, b *node) {
				other := w.node(3, nil)
				const size = 200 * chunk
				other.make(20, size)
				w.limit = size / 2
				if err := other.deliver(2, 20, 1); err == nil {
					t.Fatal("line not cut")
				}
				w.limit = 0
				a.make(20, size)
				a.make(30, size)
				b.offer = func(_ context.Context, m wire.Message) error {
					if m.Index < c.lacks {
						return &wire.Error{Code: wire.CodeNotApplied}
					}
					return nil
				}
				if err := a.deliver(2, 30, c.least); err != nil {
					t.Fatal(err)
				}
				b.check(c.want, size)
				if got := b.installs(); !slices.Equal(got, []wire.Index{c.want}) {
					t.Errorf("installed %v, want %d", got, c.want)
				}
				if resumed := a.Stats().Resumed == 1; resumed != (c.want == 20) {
					t.Errorf("%+v", a.Stats())
				}
			})
		})
	}
}

// P25: announcements and chunks act with authority. A sender that has not applied the epoch is refused, before the data and amid it, and has
// observed the epoch then.
func TestSenderBehindIsRefused(t *testing.T) {
	bubble(t, func(c *Config) { c.Rate = 1 << 20 }, func(t *testing.T, _ *world, a, b *node) {
		a.make(20, 4<<20)
		b.fence.Apply(6)
		if err := a.deliver(2, 20, 1); wire.CodeOf(err) != wire.CodeStaleEpoch {
			t.Fatalf("behind from the beginning: %v", err)
		}
		if a.fence.Observed() != 6 || len(b.offered) != 0 {
			t.Errorf("observed %d, offered %d times", a.fence.Observed(), len(b.offered))
		}
		a.fence.Apply(6)
		x := a.send(2, 20, 1)
		waitFor(t, "some data", func() bool { return a.Stats().SentBytes > 0 })
		b.fence.Apply(7)
		var refused *snapshotstream.RefusedError
		if err := <-x.ended; !errors.As(err, &refused) || refused.Reason != snapshotstream.ReasonStale {
			t.Fatalf("fell behind: %v", err)
		}
		a.fence.Apply(7)
		if err := a.deliver(2, 20, 1); err != nil || a.Stats().Resumed != 1 {
			t.Errorf("once it has applied: %v", err)
		}
	})
}

// P24: answers of a peer whose epoch is over are not believed.
func TestStaleAnswers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world, a, b *node) {
		a.make(20, 5*chunk)
		a.fence.Apply(9)
		w.serve = func(receiver *pipe) { says(receiver, &reply{index: 20}) }
		if err := a.deliver(2, 20, 1); err == nil || !strings.Contains(err.Error(), "stale") {
			t.Error(err)
		}
	})
}

// N6: all transfers together keep to one rate, and to less of it while something more urgent waits.
func TestRate(t *testing.T) {
	const size = 4 << 20
	took := map[bool]time.Duration{}
	for _, busy := range []bool{false, true} {
		bubble(t, func(c *Config) { c.Rate, c.Busy = 1<<20, func() bool { return busy } }, func(t *testing.T, w *world, a, b *node) {
			w.node(3, nil)
			a.make(20, size)
			began := time.Now()
			x, y := a.send(2, 20, 1), a.send(3, 20, 1)
			if err := errors.Join(<-x.ended, <-y.ended); err != nil {
				t.Fatal(err)
			}
			took[busy] = time.Since(began)
		})
	}
	t.Logf("twice 4 MiB at 1 MiB/s: %v, and %v while busy", took[false], took[true])
	if took[false] < 7*time.Second || took[false] > 9*time.Second || took[true] < 8*took[false] {
		t.Errorf("twice 4 MiB at 1 MiB/s took %v, and %v while something more urgent waited", took[false], took[true])
	}
}

// N6: so does what comes, from however many senders, each of which may be faster.
func TestRateOfReceivers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world, a, _ *node) {
		c := w.node(3, nil)
		d := w.node(4, func(c *Config) { c.Rate = 1 << 20 })
		began := time.Now()
		a.make(20, 4<<20)
		c.makeOf(group+1, 20, 4<<20)
		x := a.send(4, 20, 1)
		ended := make(chan error, 1)
		m := announce(3, 4, 20)
		m.Group = group + 1
		c.Send(t.Context(), m, 1, func() {}, func(err error) { ended <- err })
		if err := errors.Join(<-x.ended, <-ended); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 7*time.Second || took > 9*time.Second {
			t.Errorf("twice 4 MiB at 1 MiB/s took %v", took)
		}
		if n := d.Stats().ReceivedBytes; n != 8<<20 {
			t.Errorf("%d bytes received", n)
		}
	})
}

// Operators see what is under way on both sides.
func TestTransfersAreShown(t *testing.T) {
	bubble(t, func(c *Config) { c.Rate = 1 << 20 }, func(t *testing.T, _ *world, a, b *node) {
		a.make(20, 4<<20)
		x := a.send(2, 20, 1)
		waitFor(t, "half of it", func() bool { now := b.Transfers(); return len(now) == 1 && now[0].Done > 2<<20 })
		out, in := a.Transfers(), b.Transfers()
		if len(out) != 1 || out[0].Peer != 2 || out[0].Direction != Out || out[0].Before != 0 || out[0].Index != 20 || out[0].Total != 4<<20 || out[0].Done == 0 || out[0].Since.IsZero() {
			t.Errorf("sender shows %+v", out)
		}
		if len(in) != 1 || in[0].Peer != 1 || in[0].Direction != In || in[0].Before != 0 || in[0].Group != group || in[0].Index != 20 || in[0].Total != 4<<20 {
			t.Errorf("receiver shows %+v", in)
		}
		if n := b.Stats().ReceivedBytes; n < 2<<20 {
			t.Errorf("%d bytes counted amid it", n)
		}
		x.end()
		if err := <-x.ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// P7, D72: Close ends what is under way on either side at once, the peer learns why, and nothing begins after it.
func TestClose(t *testing.T) {
	for _, receiver := range []bool{false, true} {
		bubble(t, func(c *Config) { c.Rate = 1 << 20 }, func(t *testing.T, w *world, a, b *node) {
			var why *quictransport.Reason
			w.line = func(sender *pipe) { why = sender.why }
			a.make(20, 4<<20)
			x := a.send(2, 20, 1)
			waitFor(t, "some data", func() bool { return a.Stats().SentBytes > 0 })
			closing, began := a, time.Now()
			if receiver {
				closing = b
			}
			if closing.Close(); time.Since(began) > 0 {
				t.Errorf("took %v", time.Since(began))
			}
			err := <-x.ended
			w.served.Wait()
			var said *quictransport.CloseError
			switch {
			case !receiver && !errors.Is(err, errClosed),
				receiver && (!errors.As(err, &said) || said.Reason != quictransport.ReasonShutdown),
				*why != quictransport.ReasonShutdown:
				t.Errorf("receiver closes %v: %v, said %v", receiver, err, *why)
			}
			closing.Close()
			if receiver {
				a.deliver(2, 20, 1)
				w.served.Wait()
			} else if err := a.deliver(2, 20, 1); !errors.Is(err, errClosed) {
				t.Error(err)
			}
			if len(b.offered) != 1 {
				t.Errorf("offered %d times", len(b.offered))
			}
		})
	}
}

// D72: a peer that does not move costs its patience, whatever it was to say next, and no shutdown waits for it.
func TestStalledPeers(t *testing.T) {
	patient := func(t *testing.T, a *node, want time.Duration) {
		t.Helper()
		began := time.Now()
		if err := a.deliver(2, 20, 1); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != want {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	}
	nothing := func(*pipe) {}
	agrees := func(receiver *pipe) {
		if _, err := readFrame(receiver); err == nil {
			says(receiver, &reply{stamp: epoch.Stamp{Observed: 5, Applied: 5}, index: 20})
		}
	}
	for want, receiver := range map[time.Duration]func(*pipe){greeting: nothing, 30 * time.Second: agrees} {
		bubble(t, nil, func(t *testing.T, w *world, a, b *node) {
			w.serve = receiver
			a.make(20, 500*chunk)
			patient(t, a, want)
			x := a.send(2, 20, 1)
			synctest.Wait()
			began := time.Now()
			if a.Close(); time.Since(began) != 0 {
				t.Errorf("closed after %v", time.Since(began))
			}
			if err := <-x.ended; !errors.Is(err, errClosed) {
				t.Error(err)
			}
		})
	}
	// Senders: one that announces nothing, one that sends nothing.
	for _, announced := range []bool{false, true} {
		bubble(t, nil, func(t *testing.T, _ *world, a, b *node) {
			for _, closes := range []bool{false, true} {
				mine, theirs := newPipe()
				if announced {
					calls(mine, &call{stamp: a.fence.Stamp(), m: announce(1, 2, 20), offers: []offer{{index: 20}}})
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					b.Serve(t.Context(), 1, theirs)
				}()
				synctest.Wait()
				want, began := greeting, time.Now()
				if announced {
					want = 30 * time.Second
				}
				if closes {
					want = 0
					b.Close()
				}
				if <-ended; time.Since(began) != want {
					t.Errorf("announced %v, closed %v: ended after %v", announced, closes, time.Since(began))
				}
			}
		})
	}
}
