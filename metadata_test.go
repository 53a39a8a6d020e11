package flotilla_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"flotilla"
	"flotilla/catalog"
)

// TestMetadataByAnotherWay: a node that gets group 0's state as a whole does all that it does when it applies what led there: the
// fence rises and stays up, peers are dialled, who listens is told, and its own removal ends it (P22).
func TestMetadataByAnotherWay(t *testing.T) {
	simulated(t, 2, func(t *testing.T, c *testCluster) {
		c.openAll()
		h := c.hosts[1]
		if s, err := h.MakeSnapshot(t.Context(), 0); err != nil || s.Index < h.View().Applied {
			t.Fatalf("snapshot of group 0 at %d, applied %d: %v", s.Index, h.View().Applied, err)
		}
		c.close(2) // nothing is applied any more
		told := make(chan flotilla.Epoch, 100)
		go func() {
			for v := range h.Topology(t.Context()) {
				told <- v.Epoch
			}
		}()
		<-told
		before := *h.View()
		next := before
		next.Epoch, next.EpochTerm, next.Topology.Version = before.Epoch+7, before.EpochTerm+7, before.Topology.Version+1
		check(t, h.RestoreMetadata(before.Applied+100, &next))
		if h.Epoch() != next.Epoch || h.View().Applied != before.Applied+100 {
			t.Errorf("epoch %d, applied %d", h.Epoch(), h.View().Applied)
		}
		select {
		case e := <-told:
			if e != next.Epoch {
				t.Errorf("told of epoch %d", e)
			}
		case <-time.After(time.Second):
			t.Error("nobody was told")
		}
		if err := h.RestoreMetadata(before.Applied+101, &before); !errors.Is(err, catalog.ErrOlder) || h.Epoch() != next.Epoch {
			t.Errorf("an older state: %v, epoch %d", err, h.Epoch())
		}
		select {
		case <-h.Failed():
			t.Fatal(h.Err())
		default:
		}
		next.Topology.Version++
		next.Topology.Nodes = slices.Clone(next.Topology.Nodes)
		next.Topology.Nodes[0].State = catalog.NodeRemoved
		check(t, h.RestoreMetadata(before.Applied+200, &next))
		select {
		case <-h.Failed():
		case <-time.After(time.Second):
		}
		if !errors.Is(h.Err(), flotilla.ErrRemoved) {
			t.Errorf("a node that finds itself removed: %v", h.Err())
		}
		c.close(1)
		stored, err := catalog.Inspect(c.dir+"/node-1/catalog.db", time.Second)
		check(t, err)
		if stored.Epoch != next.Epoch || stored.Applied != before.Applied+200 {
			t.Errorf("on disk: epoch %d, applied %d", stored.Epoch, stored.Applied)
		}
	})
}
