package steward

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"flotilla/catalog"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// HandleJoin serves what a joiner asks of this member. from is who its certificate says it is, NoNode for one without: it may
// ask for a certificate only. Repeating a join does no harm. Errors are *wire.Error; retryable ones are worth another attempt, at
// this member or another.
func (s *Steward) HandleJoin(ctx context.Context, from wire.NodeID, request []byte) ([]byte, error) {
	q, err := readRequest(request)
	if err != nil {
		return nil, &wire.Error{Code: wire.CodeBadRequest, Cause: err, Detail: "join: " + err.Error()}
	}
	if err := s.cfg.Administrable(); err != nil {
		return nil, &wire.Error{Code: wire.CodeStaleEpoch, Detail: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, admitTimeout)
	defer cancel()
	switch q := q.(type) {
	case *admit:
		return s.welcome(ctx, from, q)
	case *replace:
		return s.replace(ctx, from, q)
	case *certify:
		return s.certify(ctx, q)
	}
	return nil, &wire.Error{Code: wire.CodeBadRequest, Detail: "join request of an unknown kind"}
}

// welcome has group 0 admit a node and waits until it is a member of group 0, which its leader brings about as it does every
// placement; then it tells the node what it begins with.
func (s *Steward) welcome(ctx context.Context, from wire.NodeID, q *admit) ([]byte, error) {
	if from == wire.NoNode || q.Node != from || q.Node == s.cfg.Self || q.Generation == 0 {
		return nil, &wire.Error{Code: wire.CodeBadRequest, Detail: fmt.Sprintf("node %d cannot join as node %d here", from, q.Node)}
	}
	if err := dialable(q.Addr); err != nil {
		return nil, err
	}
	if err := s.admit(ctx, q); err != nil {
		return nil, err
	}
	s.Wake()
	poll := time.NewTicker(lookEvery / 10)
	defer poll.Stop()
	for {
		if reply := s.admitted(q); reply != nil {
			return reply, nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return nil, &wire.Error{
				Code: wire.CodeOverloaded, Cause: context.Cause(ctx),
				Detail: fmt.Sprintf("node %d is admitted, but is no member of group 0 yet: has that a leader?", q.Node),
			}
		}
	}
}

// admit makes q's data directory the node's. One that is connected is not replaced: it lives.
func (s *Steward) admit(ctx context.Context, q *admit) error {
	for range attempts {
		view := s.cfg.Meta.View()
		if err := roomFor(view, q.Node); err != nil {
			return err
		}
		n, _ := view.Topology.Find(q.Node)
		if g, connected := s.cfg.Peers()[q.Node]; connected && g != q.Generation && n.Generation == g {
			return &wire.Error{Code: wire.CodeUnsafe, Detail: fmt.Sprintf("node %d is running from another data directory: stop that first", q.Node)}
		}
		r, err := s.propose(ctx, catalog.AdmitNode{ID: q.Node, Generation: q.Generation, Old: n.Generation, Addr: q.Addr, HTTP: n.HTTP, Version: q.Version})
		switch {
		case err != nil:
			return err
		case r.Outcome == catalog.RefusedRemoved:
			return &wire.Error{Code: wire.CodeUnsafe, Detail: fmt.Sprintf("node %d was removed from the cluster, and ids do not come back: join under another", q.Node)}
		case r.Outcome == catalog.RefusedGeneration:
			continue // another directory of this node joins, too: look again
		case r.Outcome.Refused():
			return &wire.Error{Code: wire.CodeBadRequest, Detail: fmt.Sprintf("node %d cannot join: %s", q.Node, r.Outcome)}
		}
		return nil
	}
	return &wire.Error{Code: wire.CodeOverloaded, Detail: fmt.Sprintf("several data directories join as node %d", q.Node)}
}

// roomFor refuses a node too many.
func roomFor(v *catalog.Snapshot, id wire.NodeID) error {
	nodes := 0
	for _, n := range v.Topology.Nodes {
		if n.ID == id {
			return nil
		}
		if n.State != catalog.NodeRemoved {
			nodes++
		}
	}
	if nodes < MaxNodes {
		return nil
	}
	return &wire.Error{Code: wire.CodeConflict, Detail: fmt.Sprintf("the cluster has %d nodes, as many as it can have: remove one first", nodes)}
}

// admitted is what q's node begins with, nil while it cannot be told.
func (s *Steward) admitted(q *admit) []byte {
	view := s.cfg.Meta.View()
	n, _ := view.Topology.Find(q.Node)
	meta, _ := view.FindGroup(wire.MetadataGroup)
	if n.Generation != q.Generation || !meta.Hosted(q.Node) {
		return nil
	}
	base, err := s.cfg.Base(view)
	if err != nil || base.Index < meta.SinceOf(q.Node) {
		return nil // asked again in a moment
	}
	a := admitted{ClusterID: view.Identity.ClusterID, Cluster: view.Identity.ClusterName, Base: base, View: *view}
	return a.append(nil)
}

// authority returns the cluster's certificate authority, if its key is kept here.
func (s *Steward) authority() (*pki.Authority, error) {
	if s.cfg.Authority == nil {
		return nil, errNoAuthority
	}
	ca, err := s.cfg.Authority()
	if err != nil {
		return nil, errors.Join(errNoAuthority, err)
	}
	return ca, nil
}

var errNoAuthority = &wire.Error{
	Code:   wire.CodeBadRequest,
	Detail: "this node does not keep the key of the cluster's certificate authority: put ca.key beside ca.crt, or make the joiner a certificate with 'flotilla cert node'",
}

var errNoToken = &wire.Error{
	Code:   wire.CodeUnsafe,
	Detail: "the token is not known, spent or out of date (an attempt whose answer was lost has spent it, too): ask for another with 'flotilla member token'",
}

// tokenKnown reports whether a token is known here. One that is not may have been made a moment ago, at another member, so it has
// a moment to get known. Thus whoever guesses writes nothing to group 0's log.
func (s *Steward) tokenKnown(ctx context.Context, hash [32]byte) bool {
	late := time.NewTimer(tokenWait)
	defer late.Stop()
	poll := time.NewTicker(tokenWait / 10)
	defer poll.Stop()
	for {
		if slices.ContainsFunc(s.cfg.Meta.View().Tokens, func(t catalog.Token) bool { return t.Hash == hash }) {
			return true
		}
		select {
		case <-poll.C:
		case <-late.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// certify spends a token for a certificate of the node that brought it, which leaves here only when the token was spent for it.
func (s *Steward) certify(ctx context.Context, q *certify) ([]byte, error) {
	hash := pki.HashSecret(q.Secret)
	if !s.tokenKnown(ctx, hash) { // first: strangers learn nothing else of the cluster
		return nil, errNoToken
	}
	ca, err := s.authority()
	if err != nil {
		return nil, errNoAuthority
	}
	if n, _ := s.cfg.Meta.View().Topology.Find(q.Node); q.Node == wire.NoNode || n.Generation != 0 {
		return nil, &wire.Error{Code: wire.CodeUnsafe, Detail: fmt.Sprintf("node %d is known already: a token makes new nodes only", q.Node)}
	}
	cert, err := ca.SignNode(q.CSR, s.cfg.Meta.View().Identity.ClusterName, q.Node) // a request that is refused spends nothing
	if err != nil {
		return nil, &wire.Error{Code: wire.CodeBadRequest, Detail: err.Error()}
	}
	r, err := s.propose(ctx, catalog.SpendToken{Hash: hash, Now: time.Now().Unix(), Node: q.Node})
	switch {
	case err != nil:
		return nil, err
	case r.Outcome != catalog.Done:
		return nil, errNoToken
	}
	c := certified{Certificate: cert, Authority: ca.PEM()}
	return c.append(nil), nil
}
