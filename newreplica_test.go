package flotilla_test

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"flotilla"
)

// held is a counter that applies nothing before it is let go.
type held struct {
	counter
	gate chan struct{}
}

func (h *held) Apply(batch []flotilla.Command) ([][]byte, error) {
	<-h.gate
	return h.counter.Apply(batch)
}

// A replica that was made just now and has not caught up keeps nobody from reading: who does has the answer of another member.
func TestReadsWhileANewReplicaCatchesUp(t *testing.T) {
	simulated(t, 4, func(t *testing.T, c *testCluster) {
		gate := make(chan struct{})
		c.change = func(cfg *flotilla.Config) {
			if cfg.NodeID == 4 {
				cfg.NewMachine = func(flotilla.GroupID) flotilla.StateMachine { return &held{gate: gate} }
			}
		}
		c.openAll()
		if g, _ := c.view(4).FindGroup(1); g.Members.Contains(4) {
			t.Fatalf("node 4 has a replica: %v", g.Members)
		}
		want := add(t, c.hosts[1], 1, 7)
		check(t, c.hosts[1].Admin().PlaceGroup(t.Context(), 1, []flotilla.NodeID{1, 2, 4}, nil, 0))
		eventually(t, "node 4 has a replica", func() bool {
			for _, r := range c.hosts[4].Replicas() {
				if r.ID == 1 {
					return true
				}
			}
			return false
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		answer, err := c.hosts[4].Group(1).Query(ctx, nil)
		if err != nil || binary.BigEndian.Uint64(answer) != want {
			t.Errorf("the group answers %v, %v", answer, err)
		}
		close(gate)
		eventually(t, "node 4 votes", func() bool {
			g, _ := c.view(4).FindGroup(1)
			return g.Members.IsVoter(4)
		})
		if got := sum(t, c.hosts[4], 1); got != want {
			t.Errorf("then the sum is %d, want %d", got, want)
		}
	})
}
