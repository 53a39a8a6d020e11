package client

import (
	"context"
	"maps"
	"slices"
	"time"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// routes is what a client knows of where things are. Immutable; replaced as a whole.
type routes struct {
	version uint64
	shards  [wire.Shards]wire.GroupID
	leaders map[wire.GroupID]wire.NodeID
	addrs   map[wire.NodeID]string
	// every holds all addresses: the endpoints first, then those learned.
	every []string
	// groups holds the groups that have shards, in order.
	groups []wire.GroupID
}

// newRoutes combines what a node said with the endpoints given.
func newRoutes(t *protocol.Routes, endpoints []string) *routes {
	r := &routes{
		version: t.Version, shards: t.Shards, every: slices.Clone(endpoints),
		leaders: make(map[wire.GroupID]wire.NodeID, len(t.Leaders)), addrs: make(map[wire.NodeID]string, len(t.Nodes)),
	}
	for _, l := range t.Leaders {
		r.leaders[l.Group] = l.Node
	}
	for _, n := range t.Nodes {
		r.addrs[n.Node] = n.Address
		if !slices.Contains(r.every, n.Address) && len(r.every) < maxPeers {
			r.every = append(r.every, n.Address)
		}
	}
	groups := make(map[wire.GroupID]bool)
	for _, g := range t.Shards {
		groups[g] = true
	}
	r.groups = slices.Sorted(maps.Keys(groups))
	return r
}

// groupOf returns the group of key.
func (c *Client) groupOf(key []byte) wire.GroupID { return c.routes.Load().shards[wire.ShardOf(key)] }

// learnLeader notes a hint about who leads g.
func (c *Client) learnLeader(g wire.GroupID, leader wire.NodeID) {
	for {
		old := c.routes.Load()
		if old.leaders[g] == leader {
			return
		}
		r := *old
		r.leaders = maps.Clone(old.leaders)
		if leader == wire.NoNode {
			delete(r.leaders, g)
		} else {
			r.leaders[g] = leader
		}
		if c.routes.CompareAndSwap(old, &r) {
			return
		}
	}
}

// reaches reports whether the client knows where node n is. A node that joined after the routes were learned takes fresh ones.
func (c *Client) reaches(n wire.NodeID) bool { return c.routes.Load().addrs[n] != "" }

// leaderPeer returns the peer that leads g if it is known and connected. If it is not connected, it soon will be: others
// serve meanwhile, so nobody waits for a node that may be dead.
func (c *Client) leaderPeer(g wire.GroupID) *peer {
	r := c.routes.Load()
	addr, ok := r.addrs[r.leaders[g]]
	if !ok {
		return nil
	}
	p := c.peer(addr)
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live() != nil {
		return p
	}
	_ = c.startDial(p) // in its pause: the next request asks again
	return nil
}

// anyPeer returns the most promising peer, the next in turn of several.
func (c *Client) anyPeer() *peer {
	every := c.routes.Load().every
	start := c.turn.Add(1)
	now := time.Now()
	var best *peer
	bestStanding := standsPausing + 1
	for i := range uint64(len(every)) {
		p := c.peer(every[(start+i)%uint64(len(every))])
		if p == nil {
			continue
		}
		if s := p.standing(now); s < bestStanding {
			best, bestStanding = p, s
		}
		if bestStanding == standsConnected {
			break
		}
	}
	return best
}

// peer returns the peer of an address, nil when there are too many.
func (c *Client) peer(addr string) *peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.mu.peers[addr]
	if p == nil && !c.mu.closed && len(c.mu.peers) < maxPeers {
		p = &peer{addr: addr}
		c.mu.peers[addr] = p
	}
	return p
}

// forgetPeers lets go of addresses that no node has any more, once no connection stands: nodes come and go for as long as a client
// lives, and it remembers maxPeers only.
func (c *Client) forgetPeers() {
	every := c.routes.Load().every
	c.mu.Lock()
	peers := maps.Clone(c.mu.peers)
	c.mu.Unlock()
	for addr, p := range peers {
		if slices.Contains(every, addr) || !p.leave() {
			continue
		}
		c.mu.Lock()
		delete(c.mu.peers, addr)
		c.mu.Unlock()
	}
}

// leave has p never dialled again, unless it is in use.
func (p *peer) leave() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.gone = p.live() == nil && p.mu.dialing == nil
	return p.mu.gone
}

// wantRoutes asks for fresh routes soon, without waiting.
func (c *Client) wantRoutes() {
	select {
	case c.stale <- struct{}{}:
	default:
	}
}

// keepRoutes refreshes the routes from time to time and when asked to.
func (c *Client) keepRoutes() {
	every := time.NewTicker(refreshEvery)
	defer every.Stop()
	var gap gap
	for {
		idle := time.Now()
		select {
		case <-c.life.Done():
			return
		case <-every.C:
		case <-c.stale:
		}
		pause := gap.after(time.Since(idle))
		ctx, cancel := context.WithTimeout(c.life, attemptTimeout)
		_ = c.refresh(ctx) // the old routes stay; requests find their way by hints
		cancel()
		c.forgetPeers()
		if wait(c.life, pause) != nil {
			return
		}
	}
}

// gap is the pause between two refreshes: it grows while the next one is wanted as soon as it is over.
type gap time.Duration

// after returns the pause after a refresh that was wanted when nobody had wanted one for so long.
func (g *gap) after(idle time.Duration) time.Duration {
	if last := time.Duration(*g); idle > last {
		*g = gap(refreshGap)
	} else {
		*g = gap(min(max(2*last, refreshGap), maxRefreshGap))
	}
	return time.Duration(*g)
}

// refresh asks one node for routes and adopts them.
func (c *Client) refresh(ctx context.Context) error {
	w := newCall()
	defer w.release()
	_, err := c.try(ctx, c.anyPeer(), &protocol.Request{Kind: protocol.KindRoutes}, w)
	if err != nil {
		return err
	}
	if w.reply.Routes == nil {
		return errUnexpected
	}
	c.adopt(newRoutes(w.reply.Routes, c.endpoints))
	return nil
}

// adopt puts routes in force unless they are older than those known: a node that is behind would lead back to where nobody is.
func (c *Client) adopt(fresh *routes) {
	for {
		old := c.routes.Load()
		if fresh.version < old.version || c.routes.CompareAndSwap(old, fresh) {
			return
		}
	}
}
