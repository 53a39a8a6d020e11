package multiraft

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"flotilla/raft/wire"
)

// Engine drives all groups of a node. Its methods are safe for concurrent use.
type Engine struct {
	cfg            Config
	workers        []*worker
	log            *logWriter
	saver, remover *saver // of snapshots
	appliers       *applyPool
	groups         sync.Map // wire.GroupID -> *group
	moving         sync.Map // wire.GroupID of replicas that are being made or ended

	proposals sync.Pool // of *proposal
	sortings  sync.Pool // of *sorting
	bytes     atomic.Int64
	sends     atomic.Int64 // transfers under way
	stats     counters

	ready    chan struct{} // closed by the worker of group 0
	isReady  atomic.Bool
	fenced   atomic.Bool // by the log writer
	full     atomic.Bool // by the log writer
	failedCh chan struct{}
	failure  atomic.Pointer[error]

	started atomic.Bool
	closing atomic.Bool // refuses new work
	life    context.Context
	end     context.CancelCauseFunc
	hurry   chan struct{}  // closed by Kill
	done    chan struct{}  // closed when the goroutines are to return
	turning sync.WaitGroup // workers and the ticker: they wait for nothing outside
	running sync.WaitGroup // the log writer and the appliers
	once    struct{ start, hurry, stop sync.Once }
	stopErr error // written within once.stop
}

// errStopped is the cause with which everything in flight ends.
var errStopped = errors.New("engine stopped")

// New returns an engine without groups. Nothing runs before Start.
func New(cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure engine: %w", err)
	}
	e := &Engine{
		cfg: cfg.populated(), ready: make(chan struct{}), failedCh: make(chan struct{}),
		hurry: make(chan struct{}), done: make(chan struct{}),
	}
	e.life, e.end = context.WithCancelCause(context.Background())
	e.log = newLogWriter(e)
	e.saver, e.remover = newSaver(), newSaver()
	e.appliers = newApplyPool(e)
	for n := range e.cfg.Workers {
		e.workers = append(e.workers, newWorker(e, n))
	}
	return e, nil
}

// AddGroup takes up a group that the log store holds, before or after Start. A group whose records or state cannot be
// trusted is taken up quarantined: that is no error, its status and an event tell it (P4).
func (e *Engine) AddGroup(cfg GroupConfig) error {
	if cfg.Machine == nil {
		return fmt.Errorf("add group %d: state machine is missing", cfg.ID)
	}
	if e.closing.Load() {
		return &wire.Error{Code: wire.CodeStopped, Group: cfg.ID}
	}
	g, err := e.newGroup(cfg)
	if err != nil {
		return fmt.Errorf("add group %d: %w", cfg.ID, err)
	}
	if _, loaded := e.groups.LoadOrStore(cfg.ID, g); loaded {
		return fmt.Errorf("add group %d: it is here already", cfg.ID)
	}
	if !g.w.inbox.order(func(w *worker) { w.adopt(g) }) {
		return &wire.Error{Code: wire.CodeStopped, Group: cfg.ID}
	}
	return nil
}

// Start sets the engine going. Call it once.
func (e *Engine) Start() {
	e.once.start.Do(func() {
		e.started.Store(true)
		for _, w := range e.workers {
			e.turning.Go(func() { w.loop(e.done) })
		}
		for range e.cfg.ApplyWorkers {
			e.running.Go(e.appliers.loop)
		}
		e.running.Go(func() { e.log.loop(e.done) })
		e.running.Go(func() { e.saver.loop(e.done) })
		e.running.Go(func() { e.remover.loop(e.done) })
		e.turning.Go(e.keepTime)
	})
}

// keepTime is the one ticker of the node.
func (e *Engine) keepTime() {
	ticker := time.NewTicker(e.cfg.Heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-e.done:
			return
		case <-ticker.C:
			e.tick()
		}
	}
}

// tick lets one tick pass for everybody.
func (e *Engine) tick() {
	for _, w := range e.workers {
		w.inbox.tick()
	}
	if e.full.Load() {
		e.log.ring()
	}
}

// workerOf returns the owner of group id.
func (e *Engine) workerOf(id wire.GroupID) *worker {
	return e.workers[mix(uint64(id))%uint64(len(e.workers))]
}

// lookup returns group id, nil when it is not here.
func (e *Engine) lookup(id wire.GroupID) *group {
	if v, ok := e.groups.Load(id); ok {
		return v.(*group)
	}
	return nil
}

// group returns group id for a caller from outside, or why there is nothing to be had from it.
func (e *Engine) group(id wire.GroupID) (*group, error) {
	if e.closing.Load() {
		return nil, e.failed(&wire.Error{Code: wire.CodeStopped, Group: id})
	}
	g := e.lookup(id)
	if g == nil {
		return nil, e.failed(&wire.Error{Code: wire.CodeUnknownGroup, Group: id, Detail: "not on node " + e.cfg.Self.String()})
	}
	return g, nil
}
