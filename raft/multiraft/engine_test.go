package multiraft

import (
	"context"
	"fmt"
	"testing"
	"time"

	"flotilla/raft/wire"
)

// P18: propose at each of three nodes, with the result.
func TestProposeAtEachNode(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, 1)
		c.startAll()
		defer c.killAll()
		c.leader(1)
		for id, n := range c.nodes {
			res := mustPropose(t, n.engine, 1, fmt.Sprintf("from %d", id))
			if got, want := string(res.Value[2:]), fmt.Sprintf("from %d", id); got != want {
				t.Errorf("node %d: result %q, want %q", id, res.Value, want)
			}
			if res.Index == 0 || res.Term == 0 {
				t.Errorf("node %d: result without place: %+v", id, res)
			}
		}
		for id, n := range c.nodes {
			got, err := n.engine.Query(within(time.Second), 1, nil)
			if err != nil || string(got) != "3" {
				t.Errorf("node %d: query %q, %v; want 3", id, got, err)
			}
		}
		if _, err := c.nodes[1].engine.Propose(context.Background(), 99, nil); wire.CodeOf(err) != wire.CodeUnknownGroup {
			t.Errorf("unknown group: %v", err)
		}
	})
}
