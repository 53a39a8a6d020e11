package flotilla_test

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"flotilla"
)

// tolerant is a counter that refuses what it cannot read in the result, where its caller sees it.
type tolerant struct{ counter }

func (m *tolerant) Apply(batch []flotilla.Command) ([][]byte, error) {
	results := make([][]byte, len(batch))
	for i := range batch {
		one, err := m.counter.Apply(batch[i : i+1])
		if err != nil {
			results[i] = []byte(err.Error())
			continue
		}
		results[i] = one[0]
	}
	return results, nil
}

// TestCorrectedMachineRecovers: one command that the machine fails on takes its group out of service, also after a restart
// (P4); a corrected machine gets the whole log again, and the group is back with all that was acknowledged.
func TestCorrectedMachineRecovers(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		c.openAll()
		add(t, c.hosts[1], 1, 5)
		if r, err := propose(c.hosts[1], 1, "nonsense"); flotilla.CodeOf(err) != flotilla.CodeUnknownOutcome {
			t.Fatalf("nonsense in the log: %+v, %v; want an unknown outcome, as it may yet be applied by a corrected machine", r, err)
		}
		c.awaitQuarantine(1)
		c.restart(func(*flotilla.Config) {})
		c.awaitQuarantine(1)
		add(t, c.hosts[1], 2, 1) // the other group has no part in it
		c.restart(func(cfg *flotilla.Config) {
			cfg.NewMachine = func(flotilla.GroupID) flotilla.StateMachine { return &tolerant{} }
		})
		if got := add(t, c.hosts[2], 1, 2); got != 7 {
			t.Errorf("after the correction the sum is %d, want 7", got)
		}
		r, err := propose(c.hosts[1], 1, "more nonsense")
		if err != nil || len(r.Value) == len(binary.BigEndian.AppendUint64(nil, 0)) {
			t.Errorf("nonsense: %q, %v; want its refusal as the result", r.Value, err)
		}
	})
}

// restart closes all nodes and opens them with a change of their Config.
func (c *testCluster) restart(change func(*flotilla.Config)) {
	c.t.Helper()
	for id := range c.addrs {
		c.close(id)
	}
	c.change = change
	c.openAll()
}

// awaitQuarantine waits until the replicas of a group are out of service on so many nodes that it has no majority: a
// node that was not told any more that the command is committed has not applied it.
func (c *testCluster) awaitQuarantine(group flotilla.GroupID) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for out := 0; 2*out <= len(c.hosts); pause(ctx) {
		out = 0
		for _, h := range c.hosts {
			if h.Status().Groups[group].Err != nil {
				out++
			}
		}
		if ctx.Err() != nil {
			c.t.Fatalf("group %d is out of service on %d nodes only", group, out)
		}
	}
}
