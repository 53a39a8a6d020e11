package multiraft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// memLog is a LogStore in memory. It outlives engines, as a disk does.
type memLog struct {
	mu struct {
		sync.Mutex
		before  func([]wire.LogUpdate) error // called before a commit, without the lock: it may wait, or fail it
		groups  map[wire.GroupID]*memGroup
		commits int
		updates int
		reads   int
	}
}

type memGroup struct {
	state   wire.GroupState
	entries []wire.Entry // from index 1
}

func newMemLog() *memLog {
	l := &memLog{}
	l.mu.groups = map[wire.GroupID]*memGroup{}
	return l
}

func (l *memLog) create(id wire.GroupID, m wire.Membership) {
	if err := l.Commit([]wire.LogUpdate{{Group: id, Create: true, Membership: m}}); err != nil {
		panic(err)
	}
}

func (l *memLog) Commit(batch []wire.LogUpdate) error {
	l.mu.Lock()
	before, refused := l.mu.before, l.check(batch)
	l.mu.Unlock()
	if refused != nil {
		return refused
	}
	if before != nil {
		if err := before(batch); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.commits++
	for i := range batch {
		u := &batch[i]
		l.mu.updates++
		if u.Create {
			l.mu.groups[u.Group] = &memGroup{state: wire.GroupState{Group: u.Group, First: 1, Membership: u.Membership}}
			continue
		}
		if u.Drop {
			delete(l.mu.groups, u.Group)
			continue
		}
		g := l.mu.groups[u.Group]
		if u.SetHardState {
			g.state.HardState = u.HardState
		}
		if u.ResetTo != 0 { // what is gone leaves its place empty
			g.entries = make([]wire.Entry, u.ResetTo)
			g.entries[u.ResetTo-1] = wire.Entry{Index: u.ResetTo, Term: u.ResetTerm}
			g.state.First = u.ResetTo + 1
		}
		if len(u.Entries) > 0 {
			at := int(u.Entries[0].Index) - 1
			if at > len(g.entries) {
				panic(fmt.Sprintf("gap in log of group %d: %d after %d", u.Group, at+1, len(g.entries)))
			}
			if at < len(g.entries) {
				g.entries = slices.Clip(g.entries[:at]) // a reader may hold what is superseded
			}
			g.entries = append(g.entries, u.Entries...)
		}
		if u.SetMembership {
			g.state.Membership = u.Membership
		}
		if u.CompactTo != 0 {
			g.state.First = max(g.state.First, u.CompactTo+1)
		}
		g.state.Last = wire.Index(len(g.entries))
	}
	return nil
}

// check refuses, as every store does, a term that goes back and a vote that changes. The caller holds the lock.
func (l *memLog) check(batch []wire.LogUpdate) error {
	now := map[wire.GroupID]wire.HardState{}
	for i := range batch {
		u := &batch[i]
		if u.Drop || u.Create {
			now[u.Group] = wire.HardState{}
		}
		was, known := now[u.Group]
		if g := l.mu.groups[u.Group]; !known && g != nil {
			was = g.state.HardState
		}
		if h := u.HardState; u.SetHardState {
			if h.Term < was.Term || h.Term == was.Term && was.Vote != wire.NoNode && h.Vote != was.Vote {
				return fmt.Errorf("group %d: term and vote %d, %d after %d, %d", u.Group, h.Term, h.Vote, was.Term, was.Vote)
			}
			now[u.Group] = h
		}
	}
	return nil
}

// hook has f called before each commit.
func (l *memLog) hook(f func([]wire.LogUpdate) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.before = f
}

func (l *memLog) State(id wire.GroupID) (wire.GroupState, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.mu.groups[id]
	if g == nil {
		return wire.GroupState{}, false
	}
	return g.state, true
}

func (l *memLog) Bounds(id wire.GroupID) (first, last wire.Index) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.mu.groups[id]
	if g == nil {
		return 0, 0
	}
	return g.state.First, wire.Index(len(g.entries))
}

func (l *memLog) Term(id wire.GroupID, i wire.Index) (wire.Term, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.mu.groups[id]
	entries := g.entries
	switch {
	case i+1 < g.state.First:
		return 0, wire.ErrCompacted
	case i == 0:
		return 0, nil
	case int(i) > len(entries):
		return 0, wire.ErrUnavailable
	}
	return entries[i-1].Term, nil
}

func (l *memLog) Entries(id wire.GroupID, dst []wire.Entry, lo, hi wire.Index, maxBytes int) ([]wire.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.reads++
	g := l.mu.groups[id]
	entries := g.entries
	if lo < g.state.First {
		return dst, wire.ErrCompacted
	}
	if lo < 1 || int(hi) > len(entries)+1 {
		return dst, wire.ErrUnavailable
	}
	size := 0
	for i := lo; i < hi; i++ {
		e := entries[i-1]
		if size += e.Size(); size > maxBytes && i > lo {
			break
		}
		dst = append(dst, e)
	}
	return dst, nil
}

// network connects engines of one process. Without a delay a Send is a call of the receiver.
type network struct {
	delay time.Duration

	mu struct {
		sync.Mutex
		drop  func(from, to wire.NodeID, m *wire.Message) bool // nil drops nothing
		ports map[wire.NodeID]*port
		cut   map[[2]wire.NodeID]bool
	}
}

// port is one node's Transport.
type port struct {
	net    *network
	self   wire.NodeID
	engine *Engine

	mu struct {
		sync.Mutex
		sends    []sent
		forwards int
		record   bool
	}
}

// sent is one recorded Send.
type sent struct {
	to   wire.NodeID
	lane wire.Lane
	msgs []wire.Message
}

func newNetwork() *network {
	n := &network{}
	n.mu.ports = map[wire.NodeID]*port{}
	n.mu.cut = map[[2]wire.NodeID]bool{}
	return n
}

func (n *network) port(id wire.NodeID) *port {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &port{net: n, self: id}
	n.mu.ports[id] = p
	return p
}

// isolate cuts or heals everything from and to id.
func (n *network) isolate(id wire.NodeID, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for other := range n.mu.ports {
		n.mu.cut[[2]wire.NodeID{id, other}] = cut
		n.mu.cut[[2]wire.NodeID{other, id}] = cut
	}
}

func (n *network) reach(from, to wire.NodeID) *Engine {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.mu.ports[to]
	if p == nil || p.engine == nil || n.mu.cut[[2]wire.NodeID{from, to}] {
		return nil
	}
	return p.engine
}

func (p *port) Send(to wire.NodeID, lane wire.Lane, msgs []wire.Message) error {
	p.mu.Lock()
	if p.mu.record {
		p.mu.sends = append(p.mu.sends, sent{to: to, lane: lane, msgs: slices.Clone(msgs)})
	}
	p.mu.Unlock()
	if p.net.reach(p.self, to) == nil {
		return &wire.Error{Code: wire.CodeUnreachable}
	}
	kept := make([]wire.Message, 0, len(msgs))
	for _, m := range msgs {
		if m.Type.Lane() != lane {
			panic("message on the wrong lane")
		}
		if p.net.dropped(p.self, to, &m) {
			continue
		}
		m.Entries = slices.Clone(m.Entries)
		kept = append(kept, m)
	}
	deliver := func() {
		if e := p.net.reach(p.self, to); e != nil && len(kept) > 0 {
			e.HandleMessages(p.self, kept)
		}
	}
	if p.net.delay == 0 {
		deliver()
	} else {
		time.AfterFunc(p.net.delay, deliver)
	}
	return nil
}

func (n *network) dropped(from, to wire.NodeID, m *wire.Message) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.drop != nil && n.mu.drop(from, to, m)
}

// lose has f say which messages get lost.
func (n *network) lose(f func(from, to wire.NodeID, m *wire.Message) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.drop = f
}

func (p *port) Forward(ctx context.Context, to wire.NodeID, request []byte) ([]byte, error) {
	p.mu.Lock()
	p.mu.forwards++
	p.mu.Unlock()
	e := p.net.reach(p.self, to)
	if e == nil {
		return nil, &wire.Error{Code: wire.CodeUnreachable}
	}
	reply, err := e.HandleForward(ctx, p.self, request)
	var w *wire.Error
	if errors.As(err, &w) { // what travels
		w = wire.ReadError(wire.NewReader(wire.AppendError(nil, w)))
		return nil, w
	}
	if p.net.reach(p.self, to) == nil {
		return nil, &wire.Error{Code: wire.CodeUnknownOutcome}
	}
	return reply, err
}

// recorder is a machine that keeps what it was given.
type recorder struct {
	onApply func([]Command) error // may panic or wait
	onQuery func([]byte)
	// onRestore is asked when a state was read.
	onRestore func(wire.Index) error

	mu struct {
		sync.Mutex
		log      []Command
		inUse    bool
		restores int
	}
}

func (r *recorder) enter() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.inUse {
		panic("machine called from two goroutines at once")
	}
	r.mu.inUse = true
}

func (r *recorder) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.inUse = false
}

func (r *recorder) Apply(batch []Command) ([][]byte, error) {
	r.enter()
	defer r.leave()
	if r.onApply != nil {
		if err := r.onApply(batch); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	results := make([][]byte, len(batch))
	for i, c := range batch {
		r.mu.log = append(r.mu.log, c)
		results[i] = fmt.Appendf(nil, "%d:%s", len(r.mu.log), c.Data)
	}
	return results, nil
}

// Query answers the number of commands applied.
func (r *recorder) Query(request []byte) ([]byte, error) {
	r.enter()
	defer r.leave()
	if r.onQuery != nil {
		r.onQuery(request)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if string(request) == "fail" {
		return nil, errors.New("the machine does not like it")
	}
	return fmt.Appendf(nil, "%d", len(r.mu.log)), nil
}

func (r *recorder) commands() []Command {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.mu.log)
}

// cluster is some engines in one process.
type cluster struct {
	t        testing.TB
	net      *network
	nodes    map[wire.NodeID]*node
	groups   []wire.GroupID
	config   func(*Config)
	machines func(wire.NodeID, wire.GroupID) StateMachine
	starts   uint64
	vet      func(command []byte) error
}

type node struct {
	id       wire.NodeID
	log      *memLog
	snaps    *memSnaps // nil unless withSnapshots
	runner   *runner
	port     *port
	engine   *Engine
	machines map[wire.GroupID]*recorder
	events   *eventLog
}

type eventLog struct {
	mu  sync.Mutex
	all []Event
}

func (l *eventLog) add(ev Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, ev)
}

func eventsOf[E Event](l *eventLog) (found []E) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ev := range l.all {
		if e, ok := ev.(E); ok {
			found = append(found, e)
		}
	}
	return found
}

// newCluster makes nodes 1 to n, each with a replica of each of groups; voters says which vote.
func newCluster(t testing.TB, n int, groups ...wire.GroupID) *cluster {
	c := &cluster{t: t, net: newNetwork(), nodes: map[wire.NodeID]*node{}, groups: groups}
	var ids []wire.NodeID
	for i := range n {
		ids = append(ids, wire.NodeID(i+1))
	}
	for _, id := range ids {
		nd := &node{id: id, log: newMemLog()}
		for _, g := range groups {
			nd.log.create(g, wire.Membership{Voters: ids})
		}
		c.nodes[id] = nd
	}
	return c
}

// prepare makes an engine for node id, with all its groups, and does not start it.
func (c *cluster) prepare(id wire.NodeID) *node {
	n := c.nodes[id]
	n.port = c.net.port(id)
	n.events = &eventLog{}
	c.starts++
	cfg := Config{Self: id, Workers: 2, ApplyWorkers: 2, Seed: c.starts, Log: n.log, Transport: n.port, Events: n.events.add}
	if c.config != nil {
		c.config(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	n.engine = e
	n.machines = map[wire.GroupID]*recorder{}
	for _, g := range c.groups {
		if _, ok := n.log.State(g); !ok {
			continue
		}
		n.machines[g] = &recorder{}
		var m StateMachine = n.machines[g]
		if c.machines != nil {
			if own := c.machines(id, g); own != nil {
				m = own
			}
		}
		if err := e.AddGroup(GroupConfig{ID: g, Machine: m, Vet: c.vet}); err != nil {
			c.t.Fatal(err)
		}
	}
	return n
}

func (c *cluster) start(ids ...wire.NodeID) {
	for _, id := range ids {
		n := c.prepare(id)
		c.connect(n)
		n.engine.Start()
	}
}

func (c *cluster) connect(n *node) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	n.port.engine = n.engine
}

func (c *cluster) startAll() {
	for id := range wire.NodeID(len(c.nodes)) {
		c.start(id + 1)
	}
}

// kill ends node id as a crash does.
func (c *cluster) kill(id wire.NodeID) {
	c.net.mu.Lock()
	c.nodes[id].port.engine = nil
	c.net.mu.Unlock()
	c.nodes[id].engine.Kill()
}

func (c *cluster) killAll() {
	for id, n := range c.nodes {
		if n.engine != nil {
			c.kill(id)
		}
	}
}

// leader waits, in fake time, until all running nodes agree on a leader of g, and returns it.
func (c *cluster) leader(g wire.GroupID) *node {
	c.t.Helper()
	for range 200 {
		if n := c.leaderNow(g); n != nil {
			return n
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.t.Fatalf("group %d: no leader in 10 s", g)
	return nil
}

func (c *cluster) leaderNow(g wire.GroupID) *node {
	for _, n := range c.nodes {
		if n.engine == nil || n.engine.closing.Load() {
			continue
		}
		if s, ok := n.engine.GroupStatus(g); ok && s.Role == raft.Leader && s.Err == nil && c.agreed(g, s) {
			return n
		}
	}
	return nil
}

func (c *cluster) agreed(g wire.GroupID, leader GroupStatus) bool {
	for _, n := range c.nodes {
		if n.engine == nil || n.engine.closing.Load() {
			continue
		}
		if s, ok := n.engine.GroupStatus(g); ok && s.Err == nil && !n.engine.fenced.Load() && c.net.reach(leader.Leader, n.id) != nil &&
			(s.Term != leader.Term || s.Leader != leader.Leader) {
			return false
		}
	}
	return true
}

// other returns some node that is not n.
func (c *cluster) other(n *node) *node {
	return c.nodes[n.id%wire.NodeID(len(c.nodes))+1]
}

// inBubble runs f in fake time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// within returns a context of d from now.
func within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	_ = cancel // ends by itself, in fake time
	return ctx
}

func mustPropose(t testing.TB, e *Engine, g wire.GroupID, data string) Result {
	t.Helper()
	res, err := e.Propose(within(20*time.Second), g, []byte(data))
	if err != nil {
		t.Fatalf("propose %q: %v", data, err)
	}
	return res
}

func wantCode(t testing.TB, err error, want wire.Code) {
	t.Helper()
	if got := wire.CodeOf(err); got != want {
		t.Fatalf("got %v (code %v), want code %v", err, got, want)
	}
}
