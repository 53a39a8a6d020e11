package rafttest

import "flotilla/raft/wire"

// agenda is what is still to happen, ordered by time and then by the order of being written down, so that
// two things due at once always happen in the same order.
type agenda struct {
	heap   []due
	slab   []task
	free   []int
	serial uint64
}

type due struct {
	at     Time
	serial uint64
	slot   int
}

// taskKind says what a task does.
type taskKind uint8

const (
	taskTick taskKind = iota + 1
	taskDeliver
	taskSync
	taskTold
	taskApply
	taskSend
	taskArrive
	taskReport
	taskInstall
	taskInstalled
	taskAbandon
	taskDie
	taskBeacon
	taskRestart
	taskResume
	taskHealCut
	taskPropose
	taskRead
	taskCrash
	taskPause
	taskCut
	taskChange
	taskTransfer
	taskCampaign
	taskUnreachable
	taskCompact
	taskHeal
	taskProbe
)

// task is one thing to do. life, where not 0, is the life of the node in which it still makes sense.
type task struct {
	kind  taskKind
	node  wire.NodeID
	life  int
	value uint64
	peer  wire.NodeID
	m     wire.Message

	transfer Transfer
}

func (a *agenda) before(i, j int) bool {
	x, y := a.heap[i], a.heap[j]
	return x.at < y.at || x.at == y.at && x.serial < y.serial
}

// add writes t down for time at.
func (a *agenda) add(at Time, t task) {
	slot := len(a.slab)
	if n := len(a.free); n > 0 {
		slot, a.free = a.free[n-1], a.free[:n-1]
		a.slab[slot] = t
	} else {
		a.slab = append(a.slab, t)
	}
	a.serial++
	a.heap = append(a.heap, due{at, a.serial, slot})
	for i := len(a.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !a.before(i, parent) {
			break
		}
		a.heap[i], a.heap[parent] = a.heap[parent], a.heap[i]
		i = parent
	}
}

// next takes the earliest task off; ok is false when there is none.
func (a *agenda) next() (at Time, t task, ok bool) {
	if len(a.heap) == 0 {
		return 0, task{}, false
	}
	top, last := a.heap[0], len(a.heap)-1
	a.heap[0] = a.heap[last]
	a.heap = a.heap[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && a.before(child+1, child) {
			child++
		}
		if !a.before(child, i) {
			break
		}
		a.heap[i], a.heap[child] = a.heap[child], a.heap[i]
		i = child
	}
	t = a.slab[top.slot]
	a.slab[top.slot] = task{}
	a.free = append(a.free, top.slot)
	return top.at, t, true
}
