package integration

import (
	"errors"
	"flag"
	"fmt"
	"syscall"
	"testing"
)

var maxPauses = flag.Int("pauses", 6, "pauses in which TestPausedMetadataLeader must see a frame refused")

const (
	refusedFrames = "flotilla_fence_refused_frames_total"
	acquisitions  = "flotilla_metadata_acquisitions_total"
)

// TestPausedMetadataLeader stops the metadata leader with SIGSTOP until another one is elected, and lets it go on:
// its frames are refused, it heals without a restart, and the epoch rose by exactly one per acquisition.
//
// A node that goes on may happen to hear the new epoch before it has sent a single frame; then there is nothing to refuse. So
// leaders are paused until a frame was refused, a few times at most; everything else must hold each time.
// P20 P21 P24 P25 F12
func TestPausedMetadataLeader(t *testing.T) {
	c := startCluster(t)
	refused := func() float64 { return c.sum(t, refusedFrames) }
	before, pauses := refused(), 0
	for refused() == before {
		if pauses++; pauses > *maxPauses {
			t.Fatalf("no frame of a paused leader was refused in %d pauses: %s stayed at %v", *maxPauses, refusedFrames, before)
		}
		c.pauseMetadataLeader(t)
		c.eventually(t, "the epoch rose by exactly one for each acquisition of metadata leadership", func() error {
			st, err := c.Status(1)
			if err != nil {
				return err
			}
			won := c.sum(t, acquisitions) // counted before its epoch is proposed, and looked at after
			if float64(st.Epoch) > won {
				t.Fatalf("epoch %d after only %v acquisitions of metadata leadership", st.Epoch, won)
			}
			if float64(st.Epoch) < won {
				return fmt.Errorf("epoch %d after %v acquisitions", st.Epoch, won)
			}
			return nil
		})
	}
	t.Logf("%v frames refused after %d pauses", refused()-before, pauses)
}

// pauseMetadataLeader stops the leader of group 0 until the others have another one and its epoch, lets it go on, and
// waits until it has healed.
func (c *testCluster) pauseMetadataLeader(t *testing.T) {
	t.Helper()
	old := c.leaderOf(t, 0)
	witness := old%c.Size() + 1
	before := c.marks(t).epoch
	if err := c.Signal(old, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Signal(old, syscall.SIGCONT) }() // whatever fails, it can be killed then
	c.eventually(t, "another metadata leader, its epoch applied", func() error {
		leader, _, err := c.Leader(witness, 0)
		if err != nil || leader == 0 || leader == old {
			return fmt.Errorf("leader %d (was %d): %w", leader, old, err)
		}
		if now, err := c.Status(leader); err != nil || now.Epoch <= before {
			return fmt.Errorf("it is at epoch %d (was %d): %w", now.Epoch, before, err)
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
}

// sum adds a metric over all nodes.
func (c *testCluster) sum(t *testing.T, metric string) float64 {
	t.Helper()
	total := 0.0
	for _, id := range c.Running() {
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
