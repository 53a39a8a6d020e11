package flotilla

import (
	"context"
	"fmt"
	"io"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft/wire"
)

// metadata is group 0's state machine: the catalog, and what this node does when it changes. Apply is called by one
// goroutine at a time; generation by any.
type metadata struct{ host *Host }

var _ Durable = (*metadata)(nil)

// Apply implements StateMachine. The catalog's one transaction comes first (P22); only what is durable there raises
// the fence and moves the transport.
func (m *metadata) Apply(batch []Command) ([][]byte, error) {
	cmds := make([]catalog.Command, len(batch))
	for i, c := range batch {
		cmds[i] = catalog.Command{Index: c.Index, Term: c.Term, Data: c.Data}
	}
	before := m.host.catalog.View()
	results, err := m.host.catalog.Apply(batch[len(batch)-1].Index, cmds)
	if err != nil {
		return nil, err
	}
	m.moved(before)
	return results, nil
}

// Applied implements Durable.
func (m *metadata) Applied() Index { return m.host.catalog.View().Applied }

// Freeze implements Snapshotter. All of it is durable: the catalog has committed it.
func (m *metadata) Freeze() (Frozen, error) { return frozenMetadata{m.host.catalog.View()}, nil }

type frozenMetadata struct{ *catalog.Snapshot }

func (f frozenMetadata) WriteTo(w io.Writer) (int64, error) { return f.WriteState(w) }

func (f frozenMetadata) Close() error { return nil }

// Restore implements Snapshotter, in one transaction as Apply.
func (m *metadata) Restore(at Index, state io.Reader) error {
	before := m.host.catalog.View()
	if err := m.host.catalog.Restore(at, state); err != nil {
		return err
	}
	m.moved(before)
	return nil
}

// moved has this node follow what the catalog has committed since before.
func (m *metadata) moved(before *catalog.Snapshot) {
	now := m.host.catalog.View()
	m.host.fence.Apply(now.Epoch)
	if now.Topology.Version != before.Topology.Version || now.Routing.Version != before.Routing.Version {
		m.dialPeers()
		m.host.steward.Wake()
		m.host.views.Tell(now)
	}
	if self, _ := now.Topology.Find(m.host.identity.NodeID); self.State == catalog.NodeRemoved {
		m.host.fail(fmt.Errorf("node %d: %w", self.ID, ErrRemoved))
	}
	if now.Epoch != before.Epoch {
		m.host.log.Info("epoch rose", "epoch", now.Epoch, "term", now.EpochTerm)
	}
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

// wantsVoter says whether placement wants id to vote in group g once it has caught up (P14).
func (m *metadata) wantsVoter(g GroupID, id NodeID) bool {
	return placement.Promotable(m.host.catalog.View(), g, id)
}

// View is the catalog as applied here.
func (m *metadata) View() *catalog.Snapshot { return m.host.catalog.View() }

// ProposeMeta has a command applied by group 0 and returns its result once it has taken effect here. What is agreed on and cannot be
// waited for here has an unknown outcome: any other error of the wait would say that nothing was done.
func (m *metadata) ProposeMeta(ctx context.Context, command []byte) ([]byte, error) {
	meta := m.host.Group(wire.MetadataGroup)
	result, err := meta.Propose(ctx, command)
	if err != nil {
		return nil, err
	}
	if err := meta.Wait(ctx, result.Index); err != nil {
		return nil, &wire.Error{Code: wire.CodeUnknownOutcome, Group: wire.MetadataGroup, Cause: err, Detail: "agreed on, but this node has not got so far"}
	}
	return result.Value, nil
}
