package multiraft

import (
	"fmt"
	"sync/atomic"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// group is one replica on this node. Its fields have one owner each; there is no lock.
type group struct {
	id      wire.GroupID
	e       *Engine
	w       *worker
	machine StateMachine               // called by the applier that runs the group
	vet     func(command []byte) error // nil takes all

	// Owned by the worker.
	core        *raft.Core
	active      bool // the queued bit: on the worker's list of this turn
	incoming    []*proposal
	pending     pendingBook
	reads       readBook
	transfer    []*transferWait
	promote     wire.Index                      // the promotion under way, 0 for none
	learner     wire.NodeID                     // caught up as of this turn, NoNode for none
	bumped      wire.Term                       // the last term in which the epoch bump was proposed
	lostLead    int                             // ticks since leadership was lost with proposals pending
	handed      wire.Index                      // last index handed to apply
	refused     map[wire.NodeID]wire.RefuseCode // peers that do not serve the group, until they do; MaxMembers at most
	appliedTerm wire.Term                       // of the last entry the machine applied
	seen        uint64                          // the applied index as of the last tick
	snaps       snapshots                       // but for its machine, which never changes

	// Written by one, read by anyone.
	view    atomic.Pointer[view] // by the worker
	commit  atomic.Uint64        // by the worker
	applied atomic.Uint64        // by the applier
	kept    atomic.Uint64        // by the applier: a machine of its own disk says so much at the next start, or more
	// snapshot is the index of the newest one here, by the worker.
	snapshot atomic.Uint64
	fault    atomic.Pointer[wire.Error] // by the first who quarantines
	stuck    atomic.Bool                // by the applier: the machine has no space
	still    atomic.Int64               // by the worker: ticks without progress
	steady   atomic.Int64               // by the worker: ticks since the leader changed
	// refusing are the keys of refused; by the worker, nil before the first.
	refusing atomic.Pointer[[]wire.NodeID]
	bytes    atomic.Int64 // waiting commands and requests

	// Owned by the applier that runs the group; the queue by the pool.
	run applyState
}

// view is what the loop knows of a group's leadership and members. Immutable.
type view struct {
	role    raft.Role
	term    wire.Term
	leader  wire.NodeID
	members wire.Membership
}

// logReader is one group's part of the log store.
type logReader struct {
	store LogStore
	id    wire.GroupID
}

func (l logReader) Bounds() (first, last wire.Index) { return l.store.Bounds(l.id) }

func (l logReader) Term(i wire.Index) (wire.Term, error) { return l.store.Term(l.id, i) }

func (l logReader) Entries(dst []wire.Entry, lo, hi wire.Index, maxBytes int) ([]wire.Entry, error) {
	return l.store.Entries(l.id, dst, lo, hi, maxBytes)
}

// newGroup restores a group from what the store holds of it.
func (e *Engine) newGroup(cfg GroupConfig) (*group, error) {
	state, ok := e.cfg.Log.State(cfg.ID)
	if !ok {
		return nil, &wire.Error{Code: wire.CodeUnknownGroup, Group: cfg.ID, Detail: "the log store does not hold it"}
	}
	g := &group{id: cfg.ID, e: e, w: e.workerOf(cfg.ID), machine: cfg.Machine, vet: cfg.Vet}
	if e.cfg.Snapshots != nil {
		g.snaps.machine, _ = cfg.Machine.(Snapshotter)
	}
	seed := mix(e.cfg.Seed, uint64(cfg.ID), uint64(e.cfg.Self))
	g.reads.next = seed
	err := state.Err
	if err == nil {
		var r restored
		r, err = e.restore(&cfg, state)
		state, cfg.Applied, g.appliedTerm = r.state, r.applied, r.term
	}
	if g.appliedTerm == 0 {
		g.appliedTerm, _ = e.cfg.Log.Term(cfg.ID, cfg.Applied) // unknown is as good as none
	}
	g.handed = cfg.Applied
	g.applied.Store(uint64(cfg.Applied))
	g.kept.Store(uint64(cfg.Applied))
	g.run.given = cfg.Applied
	g.commit.Store(uint64(cfg.Applied))
	g.view.Store(&view{term: state.HardState.Term, members: state.Membership})
	if err == nil {
		g.core, err = raft.New(raft.Config{
			Group: cfg.ID, Self: e.cfg.Self, ElectionTicks: e.cfg.electionTicks(), HeartbeatTicks: 1, Seed: seed,
			Log: logReader{store: e.cfg.Log, id: cfg.ID}, HardState: state.HardState,
			Membership: state.Membership, Since: cfg.Since, Applied: cfg.Applied,
		})
	}
	if err == nil { // the machine may have applied changes of membership that the store has not been told of
		g.snaps.begin(e, g, cfg.Applied)
		g.view.Store(&view{term: state.HardState.Term, members: g.core.Status().Membership})
	} else {
		g.quarantine(fmt.Errorf("restore group %d: %w", cfg.ID, err)) // alone: the node starts without it (P4)
	}
	return g, nil
}

// leaderElsewhere returns the leader when it is known and another node.
func (g *group) leaderElsewhere() wire.NodeID {
	if v := g.view.Load(); v.leader != g.e.cfg.Self {
		return v.leader
	}
	return wire.NoNode
}

// reserve takes n bytes of room for a command, or says why not.
func (g *group) reserve(n int) error {
	if g.e.fenced.Load() || g.e.full.Load() {
		return g.errorf(wire.CodeStorage, "the log takes no writes: see the node's status")
	}
	if g.stuck.Load() {
		return g.errorf(wire.CodeStorage, "the state machine has no space: see the node's status")
	}
	return g.take(n)
}

// take takes n bytes of room, or says that there is none.
func (g *group) take(n int) error {
	if fault := g.fault.Load(); fault != nil {
		return fault
	}
	if g.bytes.Add(int64(n)) > int64(g.e.cfg.GroupBytes) {
		g.bytes.Add(int64(-n))
		return g.errorf(wire.CodeOverloaded, "%d bytes wait in the group: try later", g.e.cfg.GroupBytes)
	}
	if g.e.bytes.Add(int64(n)) > int64(g.e.cfg.NodeBytes) {
		g.release(n)
		return g.errorf(wire.CodeOverloaded, "%d bytes wait in the node: try later", g.e.cfg.NodeBytes)
	}
	return nil
}

// release gives n reserved bytes back.
func (g *group) release(n int) {
	g.bytes.Add(int64(-n))
	g.e.bytes.Add(int64(-n))
}

// errorf returns a typed error of this group.
func (g *group) errorf(code wire.Code, format string, args ...any) *wire.Error {
	return &wire.Error{Code: code, Group: g.id, Detail: fmt.Sprintf(format, args...)}
}

// stopped says that the engine takes nothing more.
func (g *group) stopped() *wire.Error { return &wire.Error{Code: wire.CodeStopped, Group: g.id} }

// mix hashes numbers into one (splitmix64).
func mix(xs ...uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, x := range xs {
		h += x + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

// vetted refuses a command that the machine could not read.
func (g *group) vetted(data []byte, set *wire.ChangeSet) error {
	if g.vet == nil || set != nil {
		return nil
	}
	if err := g.vet(data); err != nil {
		return g.errorf(wire.CodeBadRequest, "the state machine cannot read this command: %v", err)
	}
	return nil
}
