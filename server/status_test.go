package server

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flotilla"
	"flotilla/client/protocol"
	"flotilla/snapshotstream/courier"
)

// TestStatusOfTransfers: clients see the snapshots that a node sends and receives; one that speaks an older version gets a status that it
// can read, without them (P35).
func TestStatusOfTransfers(t *testing.T) {
	c := newCluster(t, newBackend(1), 1, defaultLimits())
	began := time.Now()
	x := flotilla.Transfer{Group: 3, Peer: 2, Direction: courier.Out, Index: 9, Done: 7 << 20, Before: 5 << 20, Total: 8 << 20, Since: began}
	want := []protocol.TransferStatus{{
		Group: 3, Peer: 2, Direction: "out", Index: 9, BytesDone: 7 << 20, BytesBefore: 5 << 20, BytesTotal: 8 << 20, ElapsedMS: 1500,
	}}
	c.nodes[0].moves.Store(&[]protocol.TransferStatus{transferStatus(&x, began.Add(1500*time.Millisecond))})
	for version, want := range map[protocol.Version][]protocol.TransferStatus{1: {}, protocol.VersionTransfers: want} {
		r := c.raw(t, c.nodes[0])
		if w := r.hello(t, protocol.Hello{Min: 1, Max: version}); w.Version != version {
			t.Fatalf("it speaks version %d to a client of %d", w.Version, version)
		}
		r.send(t, request(protocol.Request{Kind: protocol.KindStatus, ID: 1, Timeout: time.Second}))
		body, err := r.frames.Next()
		if err != nil {
			t.Fatal(err)
		}
		var reply protocol.Reply
		if err := protocol.DecodeReply(body, &reply); err != nil || reply.Status == nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if diff := cmp.Diff(want, reply.Status.Transfers); diff != "" {
			t.Errorf("version %d (-want +got):\n%s", version, diff)
		}
		if elements := body[3] & 0x0f; version == 1 && elements != 6 {
			t.Errorf("a status of version 1 has %d elements", elements)
		}
	}
	if st, err := c.dial(t).Status(t.Context()); err != nil || !cmp.Equal(st.Transfers, want) {
		t.Errorf("a client of today sees %+v: %v", st.Transfers, err)
	}
}
