package client

import (
	"context"
	"errors"
	"time"

	"flotilla/raft/wire"
)

// errMoved says that a call was taken back from a node that did not answer, as another one leads its group now.
var errMoved = errors.New("no answer, and another node leads now")

// watch is the goroutine that looks after calls which are not answered. A dead, stopped or cut off leader says nothing;
// QUIC takes seconds to be sure of it. So while calls wait, another node is asked who leads, and calls of groups that have
// a new leader are tried again there. That may repeat what the old one did, as after a lost connection: sessions make it
// safe (N7, D39). A leader that is only slow keeps its calls.
func (c *Client) watch() {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	var (
		next  time.Time
		pause time.Duration
	)
	for {
		select {
		case <-c.life.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		conns := c.slowConns(now)
		if len(conns) == 0 {
			pause = 0
			continue
		}
		if now.Before(next) {
			continue
		}
		pause = min(max(2*pause, watchEvery), maxBackoff)
		next = now.Add(pause)
		ctx, cancel := context.WithTimeout(c.life, slowAfter)
		err := c.refresh(ctx)
		cancel()
		if err != nil {
			continue
		}
		for _, cn := range conns {
			c.moveCalls(cn)
		}
	}
}

// slowConns returns the connections on which calls wait for too long.
func (c *Client) slowConns(now time.Time) []*conn {
	c.mu.Lock()
	peers := make([]*peer, 0, len(c.mu.peers))
	for _, p := range c.mu.peers {
		peers = append(peers, p)
	}
	c.mu.Unlock()
	var slow []*conn
	for _, p := range peers {
		p.mu.Lock()
		cn := p.live()
		p.mu.Unlock()
		if cn != nil && cn.slow(now) {
			slow = append(slow, cn)
		}
	}
	return slow
}

// moveCalls takes back the calls of cn whose groups are led elsewhere, by a node to which a connection stands.
func (c *Client) moveCalls(cn *conn) {
	elsewhere := make(map[wire.GroupID]bool)
	for _, g := range cn.waitingGroups() {
		if p := c.leaderPeer(g); p != nil && p.addr != cn.addr {
			elsewhere[g] = true
		}
	}
	if len(elsewhere) > 0 {
		cn.takeBack(elsewhere)
	}
}

// slow reports whether calls wait for too long, and notes whether the node has been silent meanwhile.
func (c *conn) slow(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	oldest := now
	for _, w := range c.mu.calls {
		if w.since.Before(oldest) {
			oldest = w.since
		}
	}
	slow := now.Sub(oldest) >= slowAfter
	if c.mu.replies != c.mu.seen || !slow {
		c.mu.seen, c.mu.quietSince = c.mu.replies, now
	}
	c.silent.Store(slow && now.Sub(c.mu.quietSince) >= slowAfter)
	return slow
}

// waitingGroups returns the groups of the calls under way that only their leader serves.
func (c *conn) waitingGroups() []wire.GroupID {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := make(map[wire.GroupID]bool)
	var groups []wire.GroupID
	for _, w := range c.mu.calls {
		if w.group != wire.MetadataGroup && !seen[w.group] {
			seen[w.group] = true
			groups = append(groups, w.group)
		}
	}
	return groups
}

// takeBack ends the calls of the given groups with errMoved: those that have waited for too long, or all of a node that
// is silent.
func (c *conn) takeBack(groups map[wire.GroupID]bool) {
	limit := time.Now().Add(-slowAfter)
	var moved []*call
	c.mu.Lock()
	for id, w := range c.mu.calls {
		if groups[w.group] && (c.silent.Load() || w.since.Before(limit)) {
			delete(c.mu.calls, id)
			moved = append(moved, w)
		}
	}
	c.mu.Unlock()
	for _, w := range moved {
		w.err = errMoved
		w.done <- struct{}{}
	}
}
