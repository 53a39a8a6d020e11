package flotilla

import (
	"context"
	"fmt"
	"time"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// metadata is group 0's state machine: the catalog, and what this node does when it changes. Apply is called by one
// goroutine at a time; generation by any.
type metadata struct{ host *Host }

// Apply implements StateMachine. The catalog's one transaction comes first (P22); only what is durable there raises
// the fence and moves the transport.
func (m *metadata) Apply(batch []Command) ([][]byte, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	cmds := make([]catalog.Command, len(batch))
	for i, c := range batch {
		cmds[i] = catalog.Command{Index: c.Index, Term: c.Term, Data: c.Data}
	}
	before := m.host.catalog.View()
	results, err := m.host.catalog.Apply(batch[len(batch)-1].Index, cmds)
	if err != nil {
		return nil, err
	}
	now := m.host.catalog.View()
	m.host.fence.Apply(now.Epoch)
	if now.Topology.Version != before.Topology.Version {
		m.dialPeers()
	}
	if now.Epoch != before.Epoch {
		m.host.log.Info("epoch rose", "epoch", now.Epoch, "term", now.EpochTerm)
	}
	return results, nil
}

// Query implements StateMachine. The catalog is read through Host; a query only proves how far it has come.
func (m *metadata) Query([]byte) ([]byte, error) { return nil, nil }

// dialPeers tells the transport who the peers are and where.
func (m *metadata) dialPeers() {
	for _, n := range m.host.catalog.View().Topology.Nodes {
		switch {
		case n.ID == m.host.identity.NodeID:
		case n.State == catalog.NodeRemoved:
			m.host.transport.RemovePeer(n.ID)
		default:
			m.host.transport.SetPeer(n.ID, n.Addr)
		}
	}
}

// generation returns the data directory that the cluster knows id by, 0 before it has registered (N8).
func (m *metadata) generation(id NodeID) wire.Generation {
	n, _ := m.host.catalog.View().Topology.Find(id)
	return n.Generation
}

// The pause between attempts to register: short, because the first election is all that is waited for.
const registerPause = 50 * time.Millisecond

// register tells the cluster this node's data directory and addresses through group 0, until it has taken effect
// here. The first data directory to register a node's id wins; the node of any other must not serve (N8, D17).
func (h *Host) register() error {
	want := catalog.RegisterNode{ID: h.identity.NodeID, Generation: h.identity.Generation, HTTP: h.cfg.HTTPAddr}
	self, _ := h.catalog.View().Topology.Find(want.ID)
	want.Addr = self.Addr
	if self.Generation == want.Generation && self.HTTP == want.HTTP {
		return nil
	}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-h.life.Done():
			return context.Cause(h.life)
		case <-pause.C:
		}
		done, err := h.tryRegister(want)
		if done || err != nil {
			return err
		}
		pause.Reset(registerPause)
	}
}

// tryRegister proposes once. An error is final; false asks for another attempt. Doing it twice does no harm.
func (h *Host) tryRegister(c catalog.RegisterNode) (bool, error) {
	ctx, cancel := context.WithTimeout(h.life, 2*h.cfg.ElectionTimeout)
	defer cancel()
	meta := h.Group(wire.MetadataGroup)
	reply, err := meta.Propose(ctx, c.Append(nil))
	if err != nil {
		h.log.Debug("not registered yet", "error", err)
		return false, nil
	}
	result, err := catalog.ParseResult(reply.Value)
	if err != nil {
		return false, err
	}
	switch result.Outcome {
	case catalog.RefusedGeneration:
		return false, refusedGeneration(c.ID, h.cfg.Dir)
	case catalog.RefusedRemoved:
		return false, fmt.Errorf("node %d: %w", c.ID, ErrRemoved)
	}
	if result.Outcome.Refused() {
		return false, fmt.Errorf("register node %d: %s", c.ID, result.Outcome)
	}
	return meta.Wait(ctx, reply.Index) == nil, nil
}
