package flotilla

import (
	"context"
	"errors"
	"slices"

	"flotilla/raft/wire"
)

// Group is one Raft group as seen from this node, whether a replica lives here or not. All methods are safe for
// concurrent use; the zero value is of no use.
type Group struct {
	host *Host
	id   GroupID
}

// Group returns group id. Whether it exists is found when it is used.
func (h *Host) Group(id GroupID) *Group { return &Group{host: h, id: id} }

// Groups returns the ids of all groups of the cluster that were not deleted, group 0 first.
func (h *Host) Groups() []GroupID {
	var ids []GroupID
	for g := range h.catalog.View().Live() {
		ids = append(ids, g.ID)
	}
	return ids
}

// GroupFor returns the group that key is routed to.
func (h *Host) GroupFor(key []byte) *Group {
	return h.Group(h.catalog.View().Routing.Of(key))
}

// ID is the group's id.
func (g *Group) ID() GroupID { return g.id }

// Propose has data applied by the group's machine and returns its result. It takes one hop to the leader where
// that is another node (P18). Errors are *Error, whose code says whether data was applied (N7): only
// CodeUnknownOutcome may have been, and is proposed again only where twice does no harm: sessions are the key-value
// client's, a machine of your own tells repeats apart itself. Without a known leader it fails at once, with CodeNoLeader;
// the caller owns the deadline, and tries again.
func (g *Group) Propose(ctx context.Context, data []byte) (Result, error) {
	var result Result
	var err error
	if g.serves() {
		result, err = g.host.engine.Propose(ctx, g.id, data)
	} else {
		result, err = elsewhere(g, func(to NodeID) (Result, error) { return g.host.engine.ProposeAt(ctx, to, g.id, data) })
	}
	switch {
	case err == nil:
		g.host.applied.Add(1)
	case CodeOf(err) == CodeUnknownOutcome:
		g.host.unknown.Add(1)
	default:
		g.host.notApplied.Add(1)
	}
	return result, err
}

// Query answers request linearizably: it sees everything acknowledged anywhere before the call. A replica here that was made anew
// and has not got to where it became a member may take long to get there: another one is asked then, as where the one here is out
// of service.
func (g *Group) Query(ctx context.Context, request []byte) ([]byte, error) {
	placed, _ := g.host.catalog.View().FindGroup(g.id)
	if s, here := g.host.engine.GroupStatus(g.id); here && s.Err == nil && s.Applied >= placed.SinceOf(g.host.identity.NodeID) {
		return g.host.engine.Query(ctx, g.id, request)
	}
	return elsewhere(g, func(to NodeID) ([]byte, error) { return g.host.engine.QueryAt(ctx, to, g.id, request) })
}

// QueryStale answers request from whatever state this node's replica is in; without one here that serves it is Query.
func (g *Group) QueryStale(ctx context.Context, request []byte) ([]byte, error) {
	if g.serves() {
		return g.host.engine.QueryStale(ctx, g.id, request)
	}
	return g.Query(ctx, request)
}

// Wait blocks until this node's replica has applied the group's log up to index (P12).
func (g *Group) Wait(ctx context.Context, index Index) error {
	w, err := g.host.engine.Watch(g.id)
	if err != nil {
		return err
	}
	return w.Wait(ctx, index)
}

// local reports whether a replica of the group lives here.
func (g *Group) local() bool {
	_, here := g.host.engine.GroupStatus(g.id)
	return here
}

// serves reports whether a replica of the group lives here and is not out of service.
func (g *Group) serves() bool {
	s, here := g.host.engine.GroupStatus(g.id)
	return here && s.Err == nil
}

// elsewhere asks the group's members in turn until one answers, and follows the leader that one of them names
// once: an error that says that nothing was applied is reason to ask the next, any other is the answer. Where nobody else is to be
// asked, it is why the replica here does not serve.
func elsewhere[T any](g *Group, ask func(NodeID) (T, error)) (out T, err error) {
	err = &Error{Code: CodeUnknownGroup, Group: g.id, Detail: "the cluster has no such group"}
	if s, _ := g.host.engine.GroupStatus(g.id); s.Err != nil {
		err = s.Err
	}
	placed, _ := g.host.catalog.View().FindGroup(g.id)
	asked := map[NodeID]bool{g.host.identity.NodeID: true}
	for _, id := range slices.Concat(placed.Members.Voters, placed.Members.Learners, placed.Voters) {
		for id != wire.NoNode && !asked[id] {
			asked[id] = true
			if out, err = ask(id); err == nil {
				return out, nil
			}
			var refused *Error
			if !errors.As(err, &refused) || refused.Ambiguous() || !refused.Retryable() && refused.Code != CodeUnknownGroup {
				return out, err
			}
			id = refused.Leader
		}
	}
	return out, err
}
