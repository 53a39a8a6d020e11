package main

import (
	"reflect"
	"unsafe"

	etcd "go.etcd.io/raft/v3"

	"flotilla/raft"
)

// Election timeouts are drawn at random: ours from the seed, the reference's from the system's entropy, with no way to
// give it another. So that a schedule replays and both sides campaign at the same tick, the reference's timeout is set to
// ours, and our clock is read, through these offsets. Nothing is ever written into our core.
type clockOffsets struct {
	ourElapsed, ourTimeout              uintptr
	node, theirElapsed, theirRandomised uintptr
	log, committed                      uintptr
}

// findClocks looks the fields up by name and panics when a new version of either side has renamed one.
func findClocks() clockOffsets {
	field := func(t reflect.Type, name string) reflect.StructField {
		f, ok := t.FieldByName(name)
		if !ok {
			panic("no field " + name + " in " + t.String())
		}
		return f
	}
	core := reflect.TypeFor[raft.Core]()
	node := field(reflect.TypeFor[etcd.RawNode](), "raft")
	inner := node.Type.Elem()
	log := field(inner, "raftLog")
	return clockOffsets{
		log: log.Offset, committed: field(log.Type.Elem(), "committed").Offset,
		ourElapsed: field(core, "elapsed").Offset, ourTimeout: field(core, "electionTimeout").Offset,
		node: node.Offset, theirElapsed: field(inner, "electionElapsed").Offset,
		theirRandomised: field(inner, "randomizedElectionTimeout").Offset,
	}
}

func (o *clockOffsets) ours(c *raft.Core) (elapsed, timeout int) {
	base := unsafe.Pointer(c)
	return *(*int)(unsafe.Add(base, o.ourElapsed)), *(*int)(unsafe.Add(base, o.ourTimeout))
}

// theirs returns pointers to the reference's clock.
func (o *clockOffsets) theirs(n *etcd.RawNode) (elapsed, timeout *int) {
	base := *(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(n), o.node))
	return (*int)(unsafe.Add(base, o.theirElapsed)), (*int)(unsafe.Add(base, o.theirRandomised))
}

// commit returns a pointer to the reference's commit index: no message of its own tells it what our election messages do.
func (o *clockOffsets) commit(n *etcd.RawNode) *uint64 {
	base := *(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(n), o.node))
	log := *(*unsafe.Pointer)(unsafe.Add(base, o.log))
	return (*uint64)(unsafe.Add(log, o.committed))
}

// alignClock makes both halves of p campaign at the same tick. Where our clock stands differently, other than after one
// of the steps that are listed, the run fails.
func (w *world) alignClock(p *pair, c *cause) {
	if !p.alive {
		return
	}
	elapsed, timeout := w.clocks.ours(p.ours.core)
	theirElapsed, theirTimeout := w.clocks.theirs(p.theirs.node)
	*theirTimeout = timeout
	if p.now.role == raft.Leader || *theirElapsed == elapsed {
		return
	}
	before := &p.before
	switch {
	case c.kind == doRestart:
		w.note(depSoleVoterClock)
	case c.kind == doCampaign, before.role != p.now.role, p.now.role != raft.Follower, *theirElapsed == 0 && c.kind == doTick:
		w.note(depElectionClock)
	default:
		w.failf(p, "our election clock stands at %d, the reference's at %d", elapsed, *theirElapsed)
	}
	*theirElapsed = elapsed
}
