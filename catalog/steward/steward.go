package steward

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// Config is what a steward works with. All but the last four are required.
type Config struct {
	Self   wire.NodeID
	Engine Engine
	Meta   Meta
	// Peers returns the nodes that are connected right now, each with the generation that it came with.
	Peers func() map[wire.NodeID]wire.Generation
	// Administrable says why this node must not act for the cluster, nil when it may (P26).
	Administrable func() error
	// Base returns where a log of group 0 would begin that starts from view, or an error when that cannot be told
	// right now: the log is further along, or the membership has just changed.
	Base func(view *catalog.Snapshot) (Base, error)
	// TLS is who this node is.
	TLS *pki.Source
	// Authority returns the cluster's certificate authority, for nodes that come with a token; nil where there is none.
	Authority func() (*pki.Authority, error)
	// Replace has the disk of this node, which has lost the log of group 0, replaced as a whole, as soon as the cluster lets
	// it; nil where that is not possible.
	Replace func(context.Context) error
	// Imports makes groups of exported states; nil where that is not possible.
	Imports Importer
	// Events is told what went wrong, by many goroutines; it must not block. May be nil.
	Events func(StepFailed)
}

// StepFailed says that a step did not succeed. It will be tried again.
type StepFailed struct {
	Group wire.GroupID
	// Step says in words what was attempted.
	Step string
	Err  error
}

// Steward is one node's. Its methods are safe for concurrent use.
type Steward struct {
	cfg   Config
	woken chan struct{}
	ended chan struct{} // closed when Run ends
	tasks sync.WaitGroup
	slots chan struct{} // one for each task under way
	// content is the version of the topology for which nothing was to be planned. Owner: Run.
	content uint64

	mu struct {
		sync.Mutex
		busy map[task]bool
		rest map[task]time.Time // not before
		// imports are the tokens of those that this process works on.
		imports map[uint64]bool
	}
}

// task is something under way, at most once. The zero kind is what concerns one group.
type task struct {
	kind  taskKind
	group wire.GroupID
}

type taskKind uint8

const (
	taskGroup taskKind = iota
	taskPlan
	taskReplace
)

// New returns a steward that does nothing before Run.
func New(cfg Config) *Steward {
	s := &Steward{cfg: cfg, woken: make(chan struct{}, 1), ended: make(chan struct{}), slots: make(chan struct{}, maxTasks)}
	s.mu.busy, s.mu.rest = map[task]bool{}, map[task]time.Time{}
	s.mu.imports = map[uint64]bool{}
	return s
}

// Wake has the steward look soon: something has changed.
func (s *Steward) Wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, and returns when everything that it started has. It is called once.
func (s *Steward) Run(ctx context.Context) {
	defer s.tasks.Wait()
	defer close(s.ended)
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	for idle := 0; ; {
		if idle == 0 || idle > idleLooks {
			s.look(ctx)
			idle = 0
		}
		if !s.restless() {
			idle++
		} else {
			idle = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-s.woken:
			idle = 0
		case <-every.C:
		}
	}
}

// restless reports whether something is under way, or waits for another try.
func (s *Steward) restless() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	some := len(s.mu.busy)+len(s.mu.rest) > 0
	now := time.Now()
	maps.DeleteFunc(s.mu.rest, func(_ task, until time.Time) bool { return now.After(until) }) // the look that follows tries again
	return some
}

// look starts whatever is to be done and not under way.
func (s *Steward) look(ctx context.Context) {
	view, replicas := s.cfg.Meta.View(), s.cfg.Engine.Replicas()
	s.tend(ctx, view, replicas)
	alive := s.alive()
	for i := range replicas {
		r := &replicas[i]
		if !r.Leads || r.Out {
			continue
		}
		serves := func(n wire.NodeID) bool { return alive(n) && !slices.Contains(r.Refusing, n) }
		step := placement.Next(view, r.Group, placement.View{Self: s.cfg.Self, Members: r.Members, Alive: serves, Settled: r.Settled})
		s.take(ctx, r, step)
		if r.Group == wire.MetadataGroup {
			s.plan(ctx, view)
		}
	}
}

// start runs do as t in a goroutine of its own, unless t is under way, rests after a failure, or too much is under way.
func (s *Steward) start(ctx context.Context, t task, what string, rest time.Duration, do func(context.Context) error) {
	if !s.begin(t) {
		return
	}
	s.tasks.Go(func() {
		timed, cancel := context.WithTimeout(ctx, taskTimeout)
		defer cancel()
		err := do(timed)
		s.end(t, err, rest)
		if err != nil && ctx.Err() == nil && s.cfg.Events != nil {
			s.cfg.Events(StepFailed{Group: t.group, Step: what, Err: err})
		}
		if err == nil {
			s.Wake() // for what comes next
		}
	})
}

func (s *Steward) begin(t task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.busy[t] || time.Now().Before(s.mu.rest[t]) {
		return false
	}
	select {
	case s.slots <- struct{}{}:
	default:
		return false // the next look finds it again
	}
	s.mu.busy[t] = true
	delete(s.mu.rest, t)
	return true
}

func (s *Steward) end(t task, err error, rest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	<-s.slots
	delete(s.mu.busy, t)
	if err != nil {
		s.mu.rest[t] = time.Now().Add(rest)
	}
}
