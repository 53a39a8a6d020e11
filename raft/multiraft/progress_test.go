package multiraft

import (
	"sync/atomic"
	"testing"
	"time"

	"flotilla/raft/wire"
)

// N13: a leader whose followers are heard and take nothing in says that its group is stuck, until they do; groups that
// have nothing to do, and those that others lead, are not.
func TestStuckGroupsAreKnown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, 2)
		c.startAll()
		defer c.killAll()
		leader := c.leader(1)
		mustPropose(t, leader.engine, 1, "before")
		var lose atomic.Bool
		c.net.lose(func(_, _ wire.NodeID, m *wire.Message) bool { return lose.Load() && m.Group == 1 && len(m.Entries) > 0 })
		stuck := func() (by []wire.NodeID) {
			for _, n := range c.nodes {
				for _, s := range n.engine.Status() {
					if s.Stuck != nil && s.ID != 1 {
						t.Errorf("node %d: group %d: %v", n.id, s.ID, s.Stuck)
					} else if s.Stuck != nil {
						by = append(by, n.id)
					}
				}
			}
			return by
		}
		time.Sleep(time.Minute)
		if by := stuck(); by != nil {
			t.Errorf("idle, and stuck on nodes %d", by)
		}
		lose.Store(true)
		waiting := make(chan error, 1)
		go func() {
			_, err := leader.engine.Propose(within(time.Minute), 1, []byte("not taken in"))
			waiting <- err
		}()
		time.Sleep(time.Second)
		if by := stuck(); by != nil {
			t.Errorf("stuck on nodes %d after one election timeout", by)
		}
		time.Sleep(2 * time.Second)
		if by := stuck(); len(by) != 1 || by[0] != leader.id {
			t.Errorf("stuck on nodes %d, want %d", by, leader.id)
		}
		lose.Store(false)
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if by := stuck(); by != nil {
			t.Errorf("still stuck on nodes %d", by)
		}
	})
}

// A linearizable read waits out an election; without any leader it is refused by type long before its deadline, and at
// once when there has been none for a while.
func TestReadsWithoutALeader(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.startAll()
		defer c.killAll()
		leader := c.leader(1)
		n := c.other(leader)
		read := func(longest time.Duration) {
			t.Helper()
			began := time.Now()
			_, err := n.engine.Query(within(time.Hour), 1, nil)
			wantCode(t, err, wire.CodeNoLeader)
			if took := time.Since(began); took > longest {
				t.Errorf("answered after %v", took)
			}
		}
		c.kill(c.other(n).id)
		c.net.isolate(leader.id, true)
		read(5 * time.Second) // up to two election timeouts until the leader is missed, and two without
		read(200 * time.Millisecond)
		c.net.isolate(leader.id, false)
		time.Sleep(10 * time.Second)
		if _, err := n.engine.Query(within(time.Second), 1, nil); err != nil {
			t.Errorf("with a leader: %v", err)
		}
		c.net.isolate(leader.id, true)
		began := time.Now()
		healed := time.AfterFunc(1500*time.Millisecond, func() { c.net.isolate(leader.id, false) })
		defer healed.Stop()
		if _, err := n.engine.Query(within(time.Minute), 1, nil); err != nil {
			t.Errorf("across an election, after %v: %v", time.Since(began), err)
		}
	})
}
