package birth

import (
	"context"
	"fmt"
	"time"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// Between attempts to register: short, because the first election is all that is waited for.
const (
	registerPause   = 50 * time.Millisecond
	registerTimeout = 2 * time.Second
)

// Meta is group 0 as a registration uses it.
type Meta interface {
	// View is the catalog as applied here.
	View() *catalog.Snapshot
	// ProposeMeta has a command applied by group 0 and returns its result once it has taken effect here.
	ProposeMeta(ctx context.Context, command []byte) ([]byte, error)
}

// Register tells the cluster data directory, HTTP address and program version of the node that meta's catalog belongs to, until it
// has taken effect. The first data directory to register a node's id wins; the node of any other gets an *UnsafeError
// and must not serve (N8, D17). Errors are final: unreachable leaders are waited for until ctx ends.
func Register(ctx context.Context, meta Meta, httpAddr, version string) error {
	identity := meta.View().Identity
	self, _ := meta.View().Topology.Find(identity.NodeID)
	if self.Generation == identity.Generation && self.HTTP == httpAddr && self.Version == version {
		return nil
	}
	c := catalog.RegisterNode{ID: identity.NodeID, Generation: identity.Generation, Addr: self.Addr, HTTP: httpAddr, Version: version}
	pause := time.NewTicker(registerPause)
	defer pause.Stop()
	for {
		if done, err := tryRegister(ctx, meta, c); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-pause.C:
		}
	}
}

// tryRegister proposes once; false asks for another attempt. Doing it twice does no harm.
func tryRegister(ctx context.Context, meta Meta, c catalog.RegisterNode) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	reply, err := meta.ProposeMeta(ctx, c.Append(nil))
	if err != nil {
		return false, nil
	}
	result, err := catalog.ParseResult(reply)
	switch {
	case err != nil:
		return false, err
	case result.Outcome == catalog.RefusedGeneration:
		return false, RefusedGeneration(c.ID)
	case result.Outcome == catalog.RefusedRemoved:
		return false, fmt.Errorf("node %d: %w", wire.NodeID(c.ID), ErrRemoved)
	case result.Outcome.Refused():
		return false, fmt.Errorf("register node %d: %s", c.ID, result.Outcome)
	}
	return true, nil
}
