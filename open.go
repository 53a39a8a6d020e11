package flotilla

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"flotilla/catalog"
	"flotilla/catalog/birth"
	"flotilla/epoch"
	"flotilla/quictransport"
	"flotilla/raft/logstore"
	"flotilla/raft/multiraft"
)

// step is one stage of Open. When a later one fails, and when the node stops, the steps taken are undone last first:
// close with courtesy, kill without. A nil close has nothing to undo, a nil kill is the same as close.
type step struct {
	name        string
	open        func(*Host, context.Context) error
	close, kill func(*Host, context.Context) error
}

// steps take a node from a Config to a running engine. Before the log there is the catalog, because its lock is
// the directory's; the catalog's one transaction of birth comes after the log's, so that whoever finds a catalog
// that knows its node also finds the logs of its groups, or something was lost.
func steps() []step {
	type ctx = context.Context
	return []step{
		{name: "first start", open: (*Host).rehearse},
		{name: "data directory", open: func(h *Host, _ ctx) error { return logstore.MakeDir(h.cfg.Dir) }},
		{name: "second birth", open: (*Host).startOver},
		{name: "catalog", open: (*Host).openCatalog, close: func(h *Host, _ ctx) error { return h.catalog.Close() }},
		{name: "identity", open: func(h *Host, c ctx) error { return h.identify(c, h.catalog.View()) }},
		{name: "socket", open: (*Host).openSocket},
		{name: "log", open: (*Host).openLog, close: func(h *Host, _ ctx) error { return h.store.Close() }},
		{name: "snapshots", open: (*Host).openSnapshots},
		{name: "birth", open: (*Host).bear},
		{name: "incarnation", open: (*Host).incarnate},
		{
			name: "transport", open: (*Host).openTransport,
			close: func(h *Host, c ctx) error { return h.transport.Close(c) },
			kill:  func(h *Host, _ ctx) error { h.transport.Kill(); return nil },
		},
		{name: "courier", open: (*Host).openCourier, close: func(h *Host, _ ctx) error { h.courier.Close(); return nil }},
		{
			name: "engine", open: (*Host).openEngine,
			close: func(h *Host, c ctx) error { return h.engine.Close(c) },
			kill:  func(h *Host, _ ctx) error { h.engine.Kill(); return nil },
		},
		{name: "traffic", open: (*Host).startUp, close: func(h *Host, _ ctx) error { h.tasks.Wait(); return nil }},
	}
}

// Open starts a node and returns while it is still finding its cluster: wait for Ready or Failed. The end of ctx cuts
// Open short; a node that runs ends by Close alone. When Open fails it has undone what it began, and Conn, if given, is closed.
func Open(ctx context.Context, cfg Config) (*Host, error) {
	h, err := open(ctx, cfg)
	if errors.Is(err, ErrSuperseded) && cfg.Conn == nil {
		return open(ctx, cfg)
	}
	return h, err
}

func open(ctx context.Context, cfg Config) (*Host, error) {
	if err := cfg.Validate(); err != nil {
		return nil, errors.Join(err, closeConn(cfg.Conn))
	}
	h := &Host{cfg: cfg, log: cfg.populated().Logger, ready: make(chan struct{})}
	h.life, h.end = context.WithCancelCause(context.WithoutCancel(ctx))
	h.health, h.fail = context.WithCancelCause(context.Background())
	for _, s := range steps() {
		err := context.Cause(ctx)
		if err == nil {
			err = s.open(h, ctx)
		}
		if err != nil {
			err = fmt.Errorf("open node in %s: %s: %w", cfg.Dir, s.name, err)
			return nil, errors.Join(err, h.Kill(), closeConn(h.cfg.Conn))
		}
		h.opened = append(h.opened, s)
	}
	return h, nil
}

func closeConn(c net.PacketConn) error {
	if c == nil {
		return nil
	}
	return c.Close()
}

func (h *Host) openCatalog(context.Context) (err error) {
	h.catalog, err = catalog.Open(h.catalogPath(), catalog.Options{FreeBytes: h.cfg.catalogSpace})
	return err
}

func (h *Host) logPath() string { return filepath.Join(h.cfg.Dir, "log") }

func (h *Host) catalogPath() string { return filepath.Join(h.cfg.Dir, "catalog.db") }

func (h *Host) openLog(ctx context.Context) (err error) {
	if h.store, err = logstore.Open(logstore.Options{Dir: h.logPath(), RotateBytes: h.cfg.logFile(), Events: h.logEvent}); err != nil {
		err = h.replaceUnreadable(ctx, err)
	}
	return err
}

func (h *Host) incarnate(context.Context) (err error) {
	h.fence = epoch.NewHolder(h.catalog.View().Epoch)
	h.start, err = h.catalog.NextIncarnation()
	return err
}

func (h *Host) openTransport(context.Context) (err error) {
	h.meta = &metadata{host: h}
	resetKey, err := birth.ResetKey(h.tls.Current())
	if err != nil {
		return err
	}
	h.transport, err = quictransport.New(quictransport.Config{
		Cluster: h.identity.ClusterID, ClusterName: h.identity.ClusterName, Self: h.identity.NodeID,
		Incarnation: h.start, Generation: h.identity.Generation, Conn: h.cfg.Conn, TLS: h.tls, Fence: h.fence,
		ClientConn: h.cfg.ClientConn, Join: h.handleJoin, Generations: h.meta.generation, ResetKey: resetKey, Events: h.transportEvent,
		Snapshot: func(ctx context.Context, from NodeID, s *quictransport.Stream) { h.courier.Serve(ctx, from, s) },
		// A silent peer is given up when an election would be due, and dialled again well before the next (F39).
		Limits: quictransport.Limits{Beacon: h.cfg.Heartbeat, Silence: h.cfg.ElectionTimeout, Dial: h.cfg.ElectionTimeout * 7 / 10},
	})
	if err == nil {
		h.cfg.Conn = nil // the transport's now
	}
	return err
}

// openSocket comes before the birth, which may need to know the port. Open closes it until the transport owns it.
func (h *Host) openSocket(context.Context) (err error) {
	if h.cfg.Conn == nil {
		if h.cfg.Conn, err = net.ListenPacket("udp", h.cfg.Listen); err != nil {
			return err
		}
	}
	h.cfg.Listen = h.cfg.Conn.LocalAddr().String()
	return nil
}

// openEngine makes the engine and gives it every group whose log lives here.
func (h *Host) openEngine(ctx context.Context) (err error) {
	h.engine, err = multiraft.New(multiraft.Config{
		Self: h.identity.NodeID, Heartbeat: h.cfg.Heartbeat, ElectionTimeout: h.cfg.ElectionTimeout,
		// Every start of every node draws differently, or read requests of an earlier life could be answered.
		Seed: uint64(h.identity.Generation) ^ uint64(h.start)*0x9e3779b97f4a7c15,
		Log:  h.store, Transport: h.transport, EpochBump: func(t Term) []byte { return catalog.EpochBump{Term: t}.Append(nil) },
		Promote: h.meta.wantsVoter, Events: h.engineEvent,
		Snapshots: h.shelf, Courier: h.courier, SnapshotBytes: h.cfg.SnapshotThreshold,
	})
	if err != nil {
		return err
	}
	h.steward, h.scrub = h.newSteward(), h.newScrubber() // before groups are added: group 0's may be restored from a snapshot, and wakes it
	for _, g := range h.store.Groups() {
		if err := h.engine.AddGroup(h.groupConfig(h.placed(g.Group))); err != nil {
			return errors.Join(fmt.Errorf("add group %d: %w", g.Group, err), h.engine.Close(ctx))
		}
	}
	return nil
}

func (h *Host) startUp(context.Context) error {
	self, _ := h.catalog.View().Topology.Find(h.identity.NodeID)
	if h.cfg.Advertise == "" && birth.Elsewhere(h.cfg.Listen, self.Addr) {
		h.log.Warn("others dial this node where it does not listen", "listen", h.cfg.Listen, "registered", self.Addr,
			"next", "listen there; if the network leads from there to here, advertise the registered address")
	}
	h.meta.dialPeers()
	h.engine.Start()
	if err := h.transport.Start(h.engine); err != nil {
		return err
	}
	h.tasks.Go(h.watch)
	h.tasks.Go(func() { h.steward.Run(h.life) })
	h.tasks.Go(func() { h.scrub.Run(h.life) })
	h.tasks.Go(h.settle)
	return nil
}
