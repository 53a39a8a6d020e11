package multiraft

import (
	"errors"
	"testing"
	"time"

	"flotilla/raft/wire"
)

// F17 P4: a command that the machine could not read is refused before it is proposed, from here and from a
// peer alike: in the log it would take the group out of service on every node.
func TestUnreadableCommandIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		c.vet = func(command []byte) error {
			if string(command) == "poison" {
				return errors.New("cannot be read")
			}
			return nil
		}
		c.startAll()
		defer c.killAll()
		leader := c.leader(1)
		for _, n := range []*node{leader, c.other(leader)} {
			_, err := n.engine.Propose(within(10*time.Second), 1, []byte("poison"))
			wantCode(t, err, wire.CodeBadRequest)
		}
		forwarded := forwardRequest{group: 1, op: opPropose, data: []byte("poison")}
		_, err := leader.engine.HandleForward(within(10*time.Second), c.other(leader).id, forwarded.append(nil))
		wantCode(t, err, wire.CodeBadRequest)
		mustPropose(t, leader.engine, 1, "food")
		if got := len(c.nodes[leader.id].machines[1].commands()); got != 1 {
			t.Errorf("%d commands applied, want 1", got)
		}
	})
}
