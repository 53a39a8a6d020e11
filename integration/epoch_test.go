package integration

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
)

const (
	refusedFrames = "flotilla_fence_refused_frames_total"
	acquisitions  = "flotilla_metadata_acquisitions_total"
)

// TestPausedMetadataLeader stops the metadata leader with SIGSTOP until another one is elected, and lets it go on:
// its frames are refused, it heals without a restart, and the epoch rose by exactly one per acquisition.
// P20 P21 P24 P25 F12
func TestPausedMetadataLeader(t *testing.T) {
	c := startCluster(t)
	old := c.leaderOf(t, 0)
	witness := old%c.Size() + 1
	before := c.sum(t, refusedFrames)

	if err := c.Signal(old, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Signal(old, syscall.SIGCONT) })
	c.eventually(t, "another metadata leader, its epoch applied", func() error {
		leader, _, err := c.Leader(witness, 0)
		if err != nil || leader == 0 || leader == old {
			return fmt.Errorf("leader %d (was %d): %w", leader, old, err)
		}
		return c.allAtEpochOf(leader, old)
	})
	if err := c.Signal(old, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	c.eventually(t, "the paused node is at the cluster's epoch and follows", func() error {
		if err := c.allAtEpochOf(witness, 0); err != nil {
			return err
		}
		leader, _, err := c.Leader(old, 0)
		if err == nil && (leader == 0 || leader == old) {
			err = fmt.Errorf("it sees leader %d", leader)
		}
		return err
	})
	if after := c.sum(t, refusedFrames); after <= before {
		t.Errorf("no frame of the paused leader was refused: %s stayed at %v", refusedFrames, after)
	}
	st, err := c.Status(witness)
	if err != nil {
		t.Fatal(err)
	}
	if won := c.sum(t, acquisitions); float64(st.Epoch) != won {
		t.Errorf("epoch %d after %v acquisitions of metadata leadership: it rises by exactly one each", st.Epoch, won)
	}
}

// sum adds a metric over all nodes.
func (c *testCluster) sum(t *testing.T, metric string) float64 {
	t.Helper()
	total := 0.0
	for id := 1; id <= c.Size(); id++ {
		v, err := c.Metric(id, metric)
		if err != nil {
			t.Fatalf("metric %s of node %d: %v", metric, id, err)
		}
		total += v
	}
	return total
}

// allAtEpochOf returns an error unless every node but except has applied the epoch that node id has.
func (c *testCluster) allAtEpochOf(id, except int) error {
	st, err := c.Status(id)
	if err != nil {
		return err
	}
	var errs []error
	for other := 1; other <= c.Size(); other++ {
		if other == except {
			continue
		}
		theirs, err := c.Status(other)
		if err == nil && theirs.Epoch != st.Epoch {
			err = fmt.Errorf("node %d is at epoch %d, node %d at %d", other, theirs.Epoch, id, st.Epoch)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
