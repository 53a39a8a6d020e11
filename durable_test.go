package flotilla_test

import (
	"encoding/binary"
	"io"
	"testing"

	"flotilla"
)

// kept is a counter that outlives its node, as one on a disk does.
type kept struct {
	counter
	applied  flotilla.Index
	restored int
}

var _ flotilla.Durable = (*kept)(nil)

func (k *kept) Apply(batch []flotilla.Command) ([][]byte, error) {
	k.applied = batch[len(batch)-1].Index
	return k.counter.Apply(batch)
}

func (k *kept) Applied() flotilla.Index { return k.applied }

func (k *kept) Freeze() (flotilla.Frozen, error) { return frozenSum(k.sum), nil }

func (k *kept) Restore(at flotilla.Index, state io.Reader) error {
	raw, err := io.ReadAll(state)
	if err != nil {
		return err
	}
	k.sum, k.applied = binary.BigEndian.Uint64(raw), at
	k.restored++
	return nil
}

type frozenSum uint64

func (f frozenSum) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(f)))
	return int64(n), err
}

func (f frozenSum) Close() error { return nil }

// TestDurableGoesOnWhereItIs: a machine that keeps its state is told at a start what it lacks, and no more; one that has lost the end of its
// state gets that again; one that has lost all of it gets a snapshot (D2).
func TestDurableGoesOnWhereItIs(t *testing.T) {
	simulated(t, 1, func(t *testing.T, c *testCluster) {
		machines := map[flotilla.GroupID]*kept{1: {}, 2: {}}
		c.change = func(cfg *flotilla.Config) {
			cfg.SnapshotThreshold = 4 << 10
			cfg.NewMachine = func(g flotilla.GroupID) flotilla.StateMachine { return machines[g] }
		}
		c.openAll()
		add(t, c.hosts[1], 1, 5)
		add(t, c.hosts[1], 2, 1)
		early := *machines[1]
		if got := add(t, c.hosts[1], 1, 2); got != 7 {
			t.Fatalf("the sum is %d", got)
		}
		c.close(1)
		c.open(1)
		c.await(1)
		if got := add(t, c.hosts[1], 1, 10); got != 17 {
			t.Errorf("after a restart the sum is %d, want 17: something was applied twice or not at all", got)
		}
		c.close(1)
		machines[1] = &early
		c.open(1)
		c.await(1)
		if got := add(t, c.hosts[1], 1, 100); got != 117 {
			t.Errorf("after a crash that took the end the sum is %d, want 117", got)
		}
		_, err := c.hosts[1].MakeSnapshot(t.Context(), 1)
		check(t, err)
		want := uint64(117)
		for range 200 {
			want++
			if got := add(t, c.hosts[1], 1, 1); got != want {
				t.Fatalf("the sum is %d, want %d", got, want)
			}
		}
		c.close(1)
		machines[1] = &kept{}
		c.open(1)
		c.await(1)
		if got := add(t, c.hosts[1], 1, 1); got != want+1 {
			t.Errorf("made anew the machine's sum is %d, want %d", got, want+1)
		}
		if machines[1].restored != 1 || early.restored != 0 {
			t.Errorf("restored %d times, and %d times one that only lacked the end", machines[1].restored, early.restored)
		}
	})
}

func (k *kept) Close() error {
	*k = kept{}
	return nil
}

// TestLeftoverOfAnEarlierReplica: a group that comes to this node does not begin on what a machine has kept of a replica that ended
// here without its machine's knowledge: that is taken away first.
func TestLeftoverOfAnEarlierReplica(t *testing.T) {
	simulated(t, 1, func(t *testing.T, c *testCluster) {
		leftover := &kept{counter: counter{sum: 999}, applied: 500}
		c.change = func(cfg *flotilla.Config) {
			cfg.NewMachine = func(g flotilla.GroupID) flotilla.StateMachine {
				if g == 3 {
					return leftover
				}
				return &counter{}
			}
		}
		c.openAll()
		id, err := c.hosts[1].Admin().CreateGroup(t.Context(), "", nil)
		check(t, err)
		if got := add(t, c.hosts[1], id, 1); id != 3 || got != 1 {
			t.Errorf("group %d begins with a sum of %d", id, got-1)
		}
	})
}
