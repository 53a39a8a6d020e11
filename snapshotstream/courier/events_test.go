package courier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flotilla/quictransport"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// told returns what a node was told since the last call, once nothing is under way, nor is being installed.
func (n *node) told() []Event {
	n.w.served.Wait()
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	events := n.events
	n.events = nil
	return events
}

// began and ended are what is told of a transfer of snapshot 20 between nodes 1 and 2.
func began(peer wire.NodeID, d Direction, before, total uint64) Event {
	return TransferStarted{Group: group, Peer: peer, Direction: d, Index: 20, BytesBefore: before, BytesTotal: total}
}

func ended(peer wire.NodeID, d Direction, before, done, total uint64, err error) Event {
	return TransferEnded{Group: group, Peer: peer, Direction: d, Index: 20, BytesBefore: before, BytesDone: done, BytesTotal: total, Err: err}
}

// same compares events but for how long something took.
func same(t *testing.T, what string, got []Event, want ...Event) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateErrors(), cmpopts.IgnoreFields(TransferEnded{}, "Took")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// Each transfer has one beginning and one end on either side, with how much was there, came, and is in all.
func TestTransfersAreTold(t *testing.T) {
	const size, limit = 4 << 20, 1 << 20
	bubble(t, func(c *Config) { c.Rate = 1 << 20 }, func(t *testing.T, w *world, a, b *node) {
		a.make(20, size)
		w.limit = limit
		if err := a.deliver(2, 20, 1); err == nil {
			t.Fatal("line not cut")
		}
		out, in := a.told(), b.told()
		part := in[len(in)-1].(TransferEnded).BytesDone
		if part == 0 || part > limit {
			t.Fatalf("%d bytes came over a line that was cut after %d", part, limit)
		}
		same(t, "sender, cut", out, began(2, Out, 0, size), ended(2, Out, 0, out[1].(TransferEnded).BytesDone, size, cmpopts.AnyError))
		same(t, "receiver, cut", in, began(1, In, 0, size), ended(1, In, 0, part, size, cmpopts.AnyError))

		w.limit = 0
		if err := a.deliver(2, 20, 1); err != nil {
			t.Fatal(err)
		}
		out, in = a.told(), b.told()
		before := in[0].(TransferStarted).BytesBefore // a little more was saved after the cut
		if before < part || before > limit {
			t.Errorf("%d bytes were there, %d when it was cut", before, part)
		}
		same(t, "sender goes on", out, began(2, Out, before, size), ended(2, Out, before, size, size, nil))
		same(t, "receiver goes on", in, began(1, In, before, size), ended(1, In, before, size, size, nil))
		for _, e := range []Event{out[1], in[1]} {
			if took := e.(TransferEnded).Took; took < 2*time.Second || took > 5*time.Second {
				t.Errorf("%d bytes at 1 MiB/s took %v", size-before, took)
			}
		}

		if err := a.deliver(2, 20, 1); err != nil {
			t.Fatal(err)
		}
		same(t, "sender of what is here", a.told(), began(2, Out, size, size), ended(2, Out, size, size, size, nil))
		same(t, "receiver of what is here", b.told(), began(1, In, size, size), ended(1, In, size, size, size, nil))
	})
}

// What was not agreed on is not told: a peer could have that happen as often as it likes.
func TestOffersAreNotTold(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *world, a, b *node) {
		a.make(20, 5*chunk)
		b.offer = func(context.Context, wire.Message) error { return &wire.Error{Code: wire.CodeNotApplied} }
		_ = a.deliver(2, 20, 1) // refused, as TestNotWanted says
		same(t, "sender", a.told())
		same(t, "receiver", b.told())
	})
}

// P7: Close tells of the end of what it ends, in time.
func TestCloseIsTold(t *testing.T) {
	bubble(t, func(c *Config) { c.Rate = 1 << 20 }, func(t *testing.T, _ *world, a, b *node) {
		a.make(20, 4<<20)
		x := a.send(2, 20, 1)
		waitFor(t, "some data", func() bool { return a.Stats().SentBytes > 0 })
		a.Close()
		events := slices.Clone(a.events)
		<-x.ended
		out, in := a.told(), b.told()
		if len(events) != len(out) {
			t.Errorf("told of after Close: %+v", out[len(events):])
		}
		done := out[1].(TransferEnded).BytesDone
		same(t, "sender", out, began(2, Out, 0, 4<<20), ended(2, Out, 0, done, 4<<20, errClosed))
		if said := (*quictransport.CloseError)(nil); len(in) != 2 || !errors.As(in[1].(TransferEnded).Err, &said) {
			t.Errorf("receiver: %+v", in)
		}
	})
}

// That a newer snapshot is here already is no trouble, on either side, nor that a later session goes on or the peer wants no more, nor what
// comes after the last byte.
func TestTrouble(t *testing.T) {
	if (TransferEnded{BytesDone: 9, BytesTotal: 9, Err: errors.New("line is cut")}).Trouble() {
		t.Error("all has come, and it is trouble")
	}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("chunk: %w", snapshotstream.ErrTakenOver), false},
		{&quictransport.ResetError{Remote: true}, false},
		{&quictransport.ResetError{}, true},
		{&quictransport.ResetError{Remote: true, Reason: quictransport.ReasonShutdown}, true},
		{nil, false},
		{errors.New("line is cut"), true},
		{snapshotstream.ErrOvertaken, false},
		{&snapshotstream.RefusedError{Reason: snapshotstream.ReasonOvertaken}, false},
		{&snapshotstream.RefusedError{Reason: snapshotstream.ReasonNoSpace}, true},
	} {
		if got := (TransferEnded{BytesDone: 1, BytesTotal: 2, Err: c.err}).Trouble(); got != c.want {
			t.Errorf("%v is trouble: %t", c.err, got)
		}
	}
}
