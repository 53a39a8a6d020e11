package quictransport

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// peer is one other node: one that is dialled, one that came by itself, or both. The transport's mutex guards it.
type peer struct {
	t  *Transport
	id wire.NodeID
	// addr is where to dial; empty for a peer that only comes.
	addr string
	// conn is the connection in use, conns all that stand or are being introduced, oldest first.
	conn  *conn
	conns []*conn
	// wake tells the dialling goroutine that addr or conn has changed; cancel ends it. Each such goroutine has a wake of
	// its own, so that one that is ending takes nothing from the next.
	wake    chan struct{}
	cancel  context.CancelFunc
	lastErr error
}

// peerNews is one thing to tell the handler.
type peerNews struct {
	id    wire.NodeID
	event wire.PeerEvent
}

// SetPeer makes a node known under an address, HOST:PORT, and keeps a connection to it from Start on. A removed node
// becomes welcome again. One that came before its data directory was registered is held against it now (N8).
func (t *Transport) SetPeer(id wire.NodeID, addr string) error {
	if id == wire.NoNode || id > wire.MaxNodeID || id == t.cfg.Self {
		return fmt.Errorf("set peer %d: not the id of another node", uint64(id))
	}
	if _, _, err := splitAddr(addr); err != nil {
		return fmt.Errorf("set peer %d: %w", uint64(id), err)
	}
	var registered wire.Generation
	if t.cfg.Generations != nil {
		registered = t.cfg.Generations(id)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing {
		return fmt.Errorf("set peer %d: %w", uint64(id), errClosing)
	}
	delete(t.removed, id)
	p := t.peerLocked(id)
	p.addr = addr
	if c := p.conn; c != nil && registered != 0 && registered != c.hello.Generation {
		c.fail(ReasonGeneration, fmt.Sprintf("node %d came with data generation %d, %d is registered now", id, c.hello.Generation, registered))
	}
	if literal, err := netip.ParseAddrPort(addr); err == nil {
		t.exemptLocked(literal)
	}
	if t.handler != nil {
		p.start()
	}
	signal(p.wake)
	return nil
}

// RemovePeer forgets a node: its connection is closed with the reason for removal, and so is every later one.
func (t *Transport) RemovePeer(id wire.NodeID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.removed) < maxRemoved {
		t.removed[id] = true
	}
	p := t.peers[id]
	if p == nil {
		return
	}
	p.addr = ""
	p.stop()
	for _, c := range p.conns {
		c.fail(ReasonRemoved, fmt.Sprintf("node %d was removed from the cluster", id))
	}
	t.tidyLocked(p)
}

// Peers returns what is known of every peer, by id.
func (t *Transport) Peers() []PeerStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]PeerStatus, 0, len(t.peers))
	for _, id := range slices.Sorted(maps.Keys(t.peers)) {
		p := t.peers[id]
		s := PeerStatus{ID: id, Addr: p.addr, LastError: p.lastErr}
		if p.conn != nil {
			s.Connected = true
			s.Incarnation, s.Generation = p.conn.hello.Incarnation, p.conn.hello.Generation
		}
		all = append(all, s)
	}
	return all
}

// peerLocked returns the peer, made if need be; mu is held.
func (t *Transport) peerLocked(id wire.NodeID) *peer {
	p := t.peers[id]
	if p == nil {
		p = &peer{t: t, id: id, wake: make(chan struct{}, 1)}
		t.peers[id] = p
	}
	return p
}

// tidyLocked forgets a peer that is neither dialled nor connected; mu is held.
func (t *Transport) tidyLocked(p *peer) {
	if p.addr == "" && len(p.conns) == 0 && p.cancel == nil {
		delete(t.peers, p.id)
	}
}

// begin takes in a connection whose other side is authenticated, and runs it. One identity has few places: the oldest
// connection that is not in use makes room (D73).
func (t *Transport) begin(c *conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closing:
		return &CloseError{Reason: ReasonShutdown, Text: "node is stopping"}
	case t.peers[c.peer] == nil && len(t.peers) >= t.limits.Peers:
		return &CloseError{Reason: ReasonOverload, Text: "too many peers"}
	}
	p := t.peerLocked(c.peer)
	if len(p.conns) >= perIdentity {
		for _, old := range p.conns {
			if old != p.conn {
				old.fail(ReasonDuplicate, "too many connections of one node")
				break
			}
		}
	}
	p.conns = append(p.conns, c)
	t.wg.Go(c.run)
	return nil
}

// adopt puts a connection to use that both sides have vetted, or says why not. Both sides come to the same choice.
func (t *Transport) adopt(c *conn) error {
	if err := t.choose(c); err != nil {
		return err
	}
	t.emit(Event{Kind: EventConnected, Peer: c.peer, Addr: c.qc.RemoteAddr().String()})
	return nil
}

// choose is the part of adopt under the lock.
func (t *Transport) choose(c *conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.vetLocked(c); err != nil {
		return err // the world may have changed since it was vetted
	}
	p := t.peers[c.peer]
	old := p.conn
	if old != nil {
		old.fail(ReasonDuplicate, "a newer connection is kept")
	}
	restarted := old != nil && old.hello.Boot != c.hello.Boot
	if restarted {
		t.tellLocked(p.id, wire.PeerDown)
	}
	if old == nil || restarted {
		t.tellLocked(p.id, wire.PeerUp)
	}
	p.conn, p.lastErr, c.stood = c, nil, time.Now()
	c.heard()
	t.counters.connected.Add(1)
	t.publishLocked()
	signal(p.wake)
	return nil
}

// vet says why an introduced connection cannot be put to use, or nil.
func (t *Transport) vet(c *conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.vetLocked(c)
}

func (t *Transport) vetLocked(c *conn) error {
	switch {
	case t.closing:
		return &CloseError{Reason: ReasonShutdown, Text: "node is stopping"}
	case t.removed[c.peer] && !mutant.Is(mutant.AcceptRemovedPeer):
		return &CloseError{Reason: ReasonRemoved, Text: fmt.Sprintf("node %d was removed from the cluster", c.peer)}
	}
	if old := t.peers[c.peer].conn; old != nil {
		if why := t.refuseSecond(old, c); why != "" {
			return &CloseError{Reason: ReasonDuplicate, Text: why}
		}
	}
	return nil
}

// refuseSecond says why the second connection of a pair is not the one to keep, or nothing. A newer incarnation wins,
// whatever this node remembers from before (F36: only a connection that stands counts). Between the same two processes
// the one dialled by the lower id wins; of two dialled by the same side, the newer: the dialler has given the older up.
func (t *Transport) refuseSecond(old, c *conn) string {
	was, is := old.hello, c.hello
	switch {
	case is.Incarnation < was.Incarnation:
		return fmt.Sprintf("incarnation %d, a connection of incarnation %d stands", is.Incarnation, was.Incarnation)
	case is.Incarnation == was.Incarnation && is.Boot != was.Boot:
		return "another process with the same identity is connected: was the data directory copied?" // D57
	case is.Boot == was.Boot && old.dialed != c.dialed && c.dialed != (t.cfg.Self < c.peer):
		return "the connection dialled by the lower node id is kept"
	}
	return ""
}

// drop takes an ended connection out of use.
func (t *Transport) drop(c *conn, end *CloseError) {
	if end.Remote && end.Reason == ReasonShutdown {
		c.leave() // the goodbye itself may have been lost
	}
	t.counters.closed[end.Reason].Add(1)
	e := Event{Kind: EventRefused, Peer: c.peer, Addr: c.qc.RemoteAddr().String(), Err: end}
	t.mu.Lock()
	p := t.peers[c.peer]
	tell := true
	if c.adopted() {
		e.Kind = EventClosed
		if time.Since(c.stood) >= t.limits.Silence {
			delete(t.hushes, c.peer) // it was all right for a while: from now on everything is news
		}
	} else {
		if c.dialed && !end.Reason.travels() { // nobody said no: it is starting, or gone
			e.Kind = EventDialFailed
		}
		tell = t.newsLocked(c.peer, end)
	}
	p.conns = slices.DeleteFunc(p.conns, func(o *conn) bool { return o == c })
	if p.conn == c {
		p.conn = nil
		t.publishLocked()
		t.tellLocked(p.id, wire.PeerDown)
	}
	if p.conn == nil {
		p.lastErr = end
	}
	signal(p.wake)
	t.tidyLocked(p)
	t.mu.Unlock()
	if tell {
		t.emit(e)
	}
}

// publishLocked replaces the routes; mu is held.
func (t *Transport) publishLocked() {
	routes := make(map[wire.NodeID]*conn, len(t.peers))
	for id, p := range t.peers {
		if p.conn != nil {
			routes[id] = p.conn
		}
	}
	t.routes.Store(&routes)
}

// tellGoodbye tells that a connected peer is stopping. A node that stops itself hears peers take leave in turn; that
// says nothing about them.
func (t *Transport) tellGoodbye(c *conn) {
	t.mu.Lock()
	p := t.peers[c.peer]
	stops := !t.closing && p != nil && p.conn == c
	if stops {
		t.tellLocked(p.id, wire.PeerGoodbye)
	}
	t.mu.Unlock()
	if !stops {
		return
	}
	t.emit(Event{Kind: EventGoodbye, Peer: c.peer, Addr: c.qc.RemoteAddr().String()})
}

// tellLocked queues news for the handler; mu is held. Handshakes bound how fast news can come.
func (t *Transport) tellLocked(id wire.NodeID, e wire.PeerEvent) {
	t.news = append(t.news, peerNews{id, e})
	signal(t.notify)
}

// tellNews is the goroutine that tells the handler about peers, in order and without a lock.
func (t *Transport) tellNews() {
	for {
		t.mu.Lock()
		news := t.news
		t.news = nil
		t.mu.Unlock()
		for _, n := range news {
			t.handler.HandlePeer(n.id, n.event)
		}
		if len(news) > 0 {
			continue
		}
		select {
		case <-t.notify:
		case <-t.ctx.Done():
			return
		}
	}
}
