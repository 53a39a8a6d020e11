package flotilla_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"flotilla"
)

// broken is a counter that fails on every command.
type broken struct{ counter }

func (*broken) Apply([]flotilla.Command) ([][]byte, error) { return nil, errors.New("broken") }

// TestReplicaOutOfService: a node whose own replica is out of service has the other members answer, as one that has no replica does (P4).
func TestReplicaOutOfService(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		c.change = func(cfg *flotilla.Config) {
			if cfg.NodeID == 1 {
				cfg.NewMachine = func(flotilla.GroupID) flotilla.StateMachine { return &broken{} }
			}
		}
		c.openAll()
		_, _ = propose(c.hosts[1], 1, "5") // what becomes of it depends on who leads
		eventually(t, "the replica on node 1 is out of service", func() bool {
			s, here := c.replica(1, 1)
			return here && s.Err != nil
		})
		want := add(t, c.hosts[2], 1, 7) // somebody leads

		g := c.hosts[1].Group(1)
		if answer, err := g.Query(t.Context(), nil); err != nil || binary.BigEndian.Uint64(answer) != want {
			t.Errorf("a read: %v, %v, want %d", answer, err, want)
		}
		if answer, err := g.QueryStale(t.Context(), nil); err != nil || binary.BigEndian.Uint64(answer) != want {
			t.Errorf("a stale read: %v, %v, want %d", answer, err, want)
		}
		if r, err := g.Propose(t.Context(), []byte("3")); err != nil || binary.BigEndian.Uint64(r.Value) != want+3 {
			t.Errorf("a command: %v, %v, want %d", r.Value, err, want+3)
		}
	})
}
