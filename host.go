package flotilla

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"flotilla/catalog"
	"flotilla/catalog/birth"
	"flotilla/catalog/steward"
	"flotilla/epoch"
	"flotilla/internal/fanout"
	"flotilla/internal/scrub"
	"flotilla/quictransport"
	"flotilla/quictransport/pki"
	"flotilla/raft/logstore"
	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/courier"
	"flotilla/snapshotstream/shelf"
)

// errClosed is why what a host has under way ends when it is closed.
var errClosed = errors.New("node closed")

// Host is one running node. All methods are safe for concurrent use.
type Host struct {
	cfg      Config
	log      *slog.Logger
	identity catalog.Identity
	start    wire.Incarnation
	tls      *pki.Source

	catalog   *catalog.Catalog
	meta      *metadata
	fence     *epoch.Holder
	store     *logstore.Store
	snapshots *snapshotstream.Store
	courier   *courier.Courier
	shelf     *shelf.Shelf // snapshots as the engine and exports use them
	transport *quictransport.Transport
	verdict   birth.Verdict // of the peers on this node
	engine    *multiraft.Engine
	steward   *steward.Steward
	scrub     *scrub.Scrubber
	events    fanout.Topic[Event]
	views     fanout.Topic[*catalog.Snapshot]

	// life ends when the node closes, health when it cannot go on, each with the first reason; tasks are the
	// goroutines that Close joins.
	life, health context.Context
	end, fail    context.CancelCauseFunc
	tasks        sync.WaitGroup

	givenUp sync.Once
	ready   chan struct{}
	closing atomic.Bool
	// proposals made here, by outcome (N7).
	applied, notApplied, unknown atomic.Uint64

	// opened are the steps of Open that were taken; owner: whoever runs closer.
	opened []step
	closer sync.Once
	closed error
}

// NodeID is this node.
func (h *Host) NodeID() NodeID { return h.identity.NodeID }

// Epoch is the epoch this node has applied.
func (h *Host) Epoch() Epoch { return h.fence.Applied() }

// Administrable returns nil when this node may act for the whole cluster, else *epoch.BehindError (P26).
func (h *Host) Administrable() error { return h.fence.Administrable() }

// Addr is the UDP address the node listens on, with its real port.
func (h *Host) Addr() string { return h.cfg.Listen }

// Ready is closed when this node serves: group 0 has applied an entry of the present leader's term here (P13)
// and the cluster knows this data directory.
func (h *Host) Ready() <-chan struct{} { return h.ready }

// Serving reports whether the node is ready, not closing and not failed.
func (h *Host) Serving() bool {
	select {
	case <-h.ready:
		return h.Err() == nil && !h.closing.Load()
	default:
		return false
	}
}

// Failed is closed when the node cannot go on: its log is fenced after a failed commit, or the cluster
// refuses its data directory. Err says which, and is nil before.
func (h *Host) Failed() <-chan struct{} { return h.health.Done() }

// Err returns why the node failed, nil while it has not.
func (h *Host) Err() error { return context.Cause(h.health) }

// watch waits for the engine's failure.
func (h *Host) watch() {
	select {
	case <-h.engine.Failed():
		h.fail(h.engine.Err())
	case <-h.life.Done():
	}
}

// settle registers this data directory with the cluster, then waits for the readiness latch.
func (h *Host) settle() {
	if err := birth.Register(h.life, h.meta, h.cfg.HTTPAddr, h.cfg.Version); err != nil {
		if h.life.Err() == nil {
			h.giveUp(err)
		}
		return
	}
	select {
	case <-h.engine.Ready():
		close(h.ready)
	case <-h.life.Done():
	}
}
