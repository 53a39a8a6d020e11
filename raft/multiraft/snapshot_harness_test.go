package multiraft

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// memSnaps is a SnapshotStore in memory. It outlives engines, as a disk does.
type memSnaps struct {
	slow time.Duration // what a Save takes

	mu struct {
		sync.Mutex
		held    map[wire.GroupID][]memSnap // newest first
		saves   []wire.Snapshot
		dropped int
		fail    error // of Save
		stuck   bool  // what is damaged cannot be set aside
	}
}

type memSnap struct {
	s     wire.Snapshot
	state []byte
	bad   bool
}

func newMemSnaps() *memSnaps {
	m := &memSnaps{}
	m.mu.held = map[wire.GroupID][]memSnap{}
	return m
}

func (m *memSnaps) Newest(g wire.GroupID) (wire.Snapshot, int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held := m.mu.held[g]; len(held) > 0 {
		return held[0].s, int64(len(held[0].state)), true
	}
	return wire.Snapshot{}, 0, false
}

func (m *memSnaps) Save(g wire.GroupID, s wire.Snapshot, write func(io.Writer) error) error {
	var state bytes.Buffer
	if err := write(&state); err != nil {
		return err
	}
	time.Sleep(m.slow)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.fail != nil {
		return m.mu.fail
	}
	m.mu.saves = append(m.mu.saves, s)
	m.hold(g, memSnap{s: s, state: state.Bytes()})
	return nil
}

// hold keeps x as the newest, if it is; the caller holds the lock.
func (m *memSnaps) hold(g wire.GroupID, x memSnap) {
	held := m.mu.held[g]
	if len(held) > 0 && held[0].s.Index >= x.s.Index {
		return
	}
	m.mu.held[g] = append([]memSnap{x}, held[:min(len(held), 1)]...)
}

func (m *memSnaps) receive(g wire.GroupID, x memSnap) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hold(g, x)
}

// get returns the newest of g from least on.
func (m *memSnaps) get(g wire.GroupID) (memSnap, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held := m.mu.held[g]; len(held) > 0 {
		return held[0], true
	}
	return memSnap{}, false
}

// spoilAll damages all snapshots of g.
func (m *memSnaps) spoilAll(g wire.GroupID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.mu.held[g] {
		m.mu.held[g][i].bad = true
	}
}

// stick has damaged snapshots stay, as on a disk that takes no change.
func (m *memSnaps) stick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.stuck = true
}

// spoil damages the newest snapshot of g.
func (m *memSnaps) spoil(g wire.GroupID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.held[g][0].bad = true
}

func (m *memSnaps) Load(g wire.GroupID, i wire.Index, read func(io.Reader) error) error {
	m.mu.Lock()
	at := slices.IndexFunc(m.mu.held[g], func(x memSnap) bool { return x.s.Index == i })
	if at < 0 {
		m.mu.Unlock()
		return snapshotstream.ErrNotHeld
	}
	x := m.mu.held[g][at]
	if x.bad && !m.mu.stuck {
		m.mu.held[g] = slices.Delete(m.mu.held[g], at, at+1)
	}
	m.mu.Unlock()
	if x.bad { // half of it, then the truth
		return read(io.MultiReader(bytes.NewReader(x.state[:len(x.state)/2]), corruptReader{}))
	}
	return read(bytes.NewReader(x.state))
}

type corruptReader struct{}

func (corruptReader) Read([]byte) (int, error) { return 0, snapshotstream.ErrCorrupt }

func (m *memSnaps) Drop(g wire.GroupID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mu.held, g)
	m.mu.dropped++
	return nil
}

func (m *memSnaps) saved() []wire.Index {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []wire.Index
	for _, s := range m.mu.saves {
		all = append(all, s.Index)
	}
	return all
}

// runner is a Courier that takes a while: half of it to tell of progress, then to be there.
type runner struct {
	c    *cluster
	from wire.NodeID
	time time.Duration
	away bool // as the real one it does not wait for the install

	mu struct {
		sync.Mutex
		sends, peak, now int
		fail             error                  // every transfer ends with it
		arrived          func(wire.NodeID) bool // false: the receiver dies between store and install
	}
}

func (r *runner) Send(ctx context.Context, m wire.Message, least wire.Index, moved func(), done func(error)) {
	r.mu.Lock()
	r.mu.sends++
	r.mu.now++
	r.mu.peak = max(r.mu.peak, r.mu.now)
	fail := r.mu.fail
	r.mu.Unlock()
	go func() {
		err := r.carry(ctx, m, least, moved)
		if err == nil {
			err = fail
		}
		r.mu.Lock()
		r.mu.now--
		r.mu.Unlock()
		done(err)
	}()
}

func (r *runner) carry(ctx context.Context, m wire.Message, least wire.Index, moved func()) error {
	x, ok := r.c.nodes[r.from].snaps.get(m.Group)
	if !ok || x.s.Index < least {
		return snapshotstream.ErrNotHeld
	}
	e := r.c.net.reach(r.from, m.To)
	if e == nil {
		return &wire.Error{Code: wire.CodeUnreachable}
	}
	if err := e.OfferSnapshot(ctx, m); err != nil {
		return err
	}
	for range 2 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(r.time / 2):
		}
		moved()
	}
	if e = r.c.net.reach(r.from, m.To); e == nil {
		return &wire.Error{Code: wire.CodeUnreachable}
	}
	r.mu.Lock()
	fail, arrived := r.mu.fail, r.mu.arrived
	r.mu.Unlock()
	if fail != nil {
		return fail
	}
	r.c.nodes[m.To].snaps.receive(m.Group, x)
	if arrived != nil && !arrived(m.To) {
		return errors.New("the receiver is gone")
	}
	if r.away {
		go func() { _ = e.InstallSnapshot(context.Background(), m.Group, x.s) }()
		return nil
	}
	return e.InstallSnapshot(ctx, m.Group, x.s)
}

// Freeze implements Snapshotter: all that was applied.
func (r *recorder) Freeze() (Frozen, error) {
	r.enter()
	defer r.leave()
	return &frozenLog{log: r.commands()}, nil
}

// Restore implements Snapshotter.
func (r *recorder) Restore(at wire.Index, state io.Reader) error {
	r.enter()
	defer r.leave()
	raw, err := io.ReadAll(state)
	if err != nil {
		return err
	}
	if r.onRestore != nil {
		if err := r.onRestore(at); err != nil {
			return err
		}
	}
	var log []Command
	for len(raw) > 0 {
		n := binary.BigEndian.Uint64(raw[16:])
		log = append(log, Command{
			Index: wire.Index(binary.BigEndian.Uint64(raw)), Term: wire.Term(binary.BigEndian.Uint64(raw[8:])), Data: raw[24 : 24+n],
		})
		raw = raw[24+n:]
	}
	if n := len(log); n > 0 && log[n-1].Index > at {
		return fmt.Errorf("a state up to %d holds a command of %d", at, log[n-1].Index)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.log = log
	r.mu.restores++
	return nil
}

type frozenLog struct{ log []Command }

func (f *frozenLog) WriteTo(w io.Writer) (int64, error) {
	var b []byte
	for _, c := range f.log {
		b = binary.BigEndian.AppendUint64(b, uint64(c.Index))
		b = binary.BigEndian.AppendUint64(b, uint64(c.Term))
		b = binary.BigEndian.AppendUint64(b, uint64(len(c.Data)))
		b = append(b, c.Data...)
	}
	n, err := w.Write(b)
	return int64(n), err
}

func (f *frozenLog) Close() error { return nil }

// withSnapshots gives every node of c a store and a courier; a snapshot is due every so many bytes of log.
func withSnapshots(c *cluster, every int64) *cluster {
	for id, n := range c.nodes {
		n.snaps = newMemSnaps()
		n.runner = &runner{c: c, from: id, time: 100 * time.Millisecond}
	}
	c.config = func(cfg *Config) {
		n := c.nodes[cfg.Self]
		cfg.Snapshots, cfg.Courier, cfg.SnapshotBytes = n.snaps, n.runner, every
	}
	return c
}

// newLagging starts three nodes of which one is cut off and lacks what the leader's log has let go of.
func newLagging(t testing.TB) (c *cluster, leader, behind *node) {
	t.Helper()
	c = withSnapshots(newCluster(t, 3, 1), 4000)
	c.startAll()
	leader, behind = c.leaveBehind(t, 200)
	return c, leader, behind
}

// leaveBehind cuts a node off while count commands are applied and the leader's log lets go of all but the last hundred or fewer.
func (c *cluster) leaveBehind(t testing.TB, count int) (leader, behind *node) {
	t.Helper()
	leader = c.leader(1)
	behind = c.other(leader)
	c.net.isolate(behind.id, true)
	fill(t, leader.engine, 1, count)
	waitFor(t, "a compacted log", func() bool { return leader.first(1) > wire.Index(count-100) })
	return leader, behind
}

// fill has count commands of some 100 bytes applied in group g.
func fill(t testing.TB, e *Engine, g wire.GroupID, count int) (last Result) {
	t.Helper()
	for i := range count {
		last = mustPropose(t, e, g, fmt.Sprintf("%0100d", i))
		time.Sleep(time.Millisecond) // everybody comes to rest
	}
	return last
}

// waitFor waits in fake time until ok.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("in 40 s never: %s", what)
}

func (n *node) first(g wire.GroupID) wire.Index {
	first, _ := n.log.Bounds(g)
	return first
}

// same fails unless all machines of group g hold the same commands, each once and in order.
func (c *cluster) same(g wire.GroupID) {
	c.t.Helper()
	want := c.nodes[1].machines[g].commands()
	for i := 1; i < len(want); i++ {
		if want[i].Index < want[i-1].Index {
			c.t.Fatalf("command %d of index %d comes after %d", i, want[i].Index, want[i-1].Index)
		}
	}
	for id, n := range c.nodes {
		got := n.machines[g].commands()
		if !slices.EqualFunc(want, got, func(a, b Command) bool {
			return a.Index == b.Index && a.Term == b.Term && bytes.Equal(a.Data, b.Data)
		}) {
			c.t.Fatalf("node %d holds %d commands, node 1 %d, or others", id, len(got), len(want))
		}
	}
}

// waitApplied waits until every node has applied group g up to index.
func (c *cluster) waitApplied(g wire.GroupID, index wire.Index) {
	c.t.Helper()
	for id, n := range c.nodes {
		waitFor(c.t, "node "+id.String()+" applies it all", func() bool {
			s, _ := n.engine.GroupStatus(g)
			return s.Err != nil || s.Applied >= index
		})
	}
}

func (r *recorder) restored() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.restores
}

func (r *runner) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.sends
}

func (r *runner) running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.now
}

func (r *runner) failWith(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.fail = err
}
