package steward

import (
	"context"
	"fmt"

	"flotilla/catalog"
	"flotilla/catalog/birth"
	"flotilla/catalog/placement"
	"flotilla/quictransport"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// replace has group 0 admit another disk of a node which says that its present one has lost what it needs to run: its log of group 0. That it
// is connected says nothing against it. What else the disk has is given up, so every group must decide without: by those
// that are alive, as far as is known here, and by what group 0 knows to be lost, when it is applied.
func (s *Steward) replace(ctx context.Context, from wire.NodeID, q *replace) ([]byte, error) {
	view := s.cfg.Meta.View()
	n, known := view.Topology.Find(q.Node)
	if from == wire.NoNode || q.Node != from || q.Node == s.cfg.Self || q.Generation == 0 || !known || n.Generation == 0 {
		return nil, &wire.Error{Code: wire.CodeBadRequest, Detail: fmt.Sprintf("node %d cannot be replaced as node %d here", from, q.Node)}
	}
	done := wire.AppendUint(wire.AppendArray(nil, 1), joinVersion)
	if n.Generation == q.Generation {
		return done, nil
	}
	if err := placement.CanReplace(view, q.Node, s.alive()); err != nil {
		return nil, &wire.Error{Code: wire.CodeOverloaded, Cause: err, Detail: err.Error()}
	}
	r, err := s.propose(ctx, catalog.ReplaceNode{AdmitNode: catalog.AdmitNode{
		ID: q.Node, Generation: q.Generation, Old: n.Generation, Addr: n.Addr, HTTP: n.HTTP, Version: q.Version,
	}})
	switch {
	case err != nil:
		return nil, err
	case r.Outcome == catalog.RefusedRemoved:
		return nil, &wire.Error{Code: wire.CodeUnsafe, Detail: fmt.Sprintf("node %d was removed from the cluster", q.Node)}
	case r.Outcome.Refused():
		return nil, &wire.Error{Code: wire.CodeOverloaded, Detail: fmt.Sprintf("node %d cannot be replaced now: %s", q.Node, r.Outcome)}
	}
	return done, nil
}

// Replace has a member of the cluster, as the node's last view of it has them, admit e's Generation in place of the disk that dir is
// on, which has lost what it needs, and then marks dir: the next start empties it and joins. Nothing is changed before the
// cluster has agreed; if the mark fails, asking again does no harm.
func (e *Entrance) Replace(ctx context.Context, tls *pki.Source, view *catalog.Snapshot, dir string) error {
	self, _ := view.Topology.Find(view.Identity.NodeID)
	e.Conn, e.Addr, e.Members = nil, self.Addr, nil
	for _, n := range view.Topology.Nodes {
		if n.ID != self.ID && n.State != catalog.NodeRemoved && n.State != catalog.NodeListed {
			e.Members = append(e.Members, n.Addr)
		}
	}
	if len(e.Members) == 0 {
		return fmt.Errorf("replace the disk of node %d: there is no other node to take its data from", self.ID)
	}
	q := replace{Node: self.ID, Generation: e.Generation, Addr: e.Addr, Version: e.Version}
	err := e.try(ctx, func(addr string) error {
		_, err := quictransport.AskJoin(ctx, e.Conn, tls.DialNode(pki.JoinProtocol, wire.NoNode), addr, q.append(nil))
		return err
	})
	if err == nil {
		err = birth.MarkSuperseded(dir, view)
	}
	if err != nil {
		return fmt.Errorf("replace the disk of node %d: %w", self.ID, err)
	}
	return nil
}
