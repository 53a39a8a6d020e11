package hostsim

import "time"

// agenda is what is still to happen, ordered by time and then by the order of being written down, so that
// two things due at once always happen in the same order. The heap holds no pointers: it is what a run does most.
type agenda struct {
	heap   []due
	slab   []task
	free   []int
	serial uint64
}

type due struct {
	at     time.Duration
	serial uint64
	slot   int
}

// taskKind says what a task does.
type taskKind uint8

const (
	taskTick taskKind = iota + 1
	taskTurn
	taskSynced
	taskApply
	taskWrite
	taskArrive
	taskConnect
	taskRequest
	taskAnswer
	taskDeadline
	taskThink
	taskStart
	taskDrained
	taskResume
	taskMend
	taskSpace
	taskDisturb
	taskPhase
	taskHeal
	taskProbe
	taskLeave
	taskDo
)

// anyLife is the life of a task that does not ask for one.
const anyLife = -1

// task is one thing to do.
type task struct {
	at     time.Duration
	kind   taskKind
	value  uint32
	host   *host // whose life it belongs to, nil for nobody's
	life   int
	frame  *frame
	try    *try
	client *client
	link   *link
	do     func()
}

func (d *due) before(o *due) bool { return d.at < o.at || d.at == o.at && d.serial < o.serial }

// add writes t down for its time.
func (a *agenda) add(t *task) {
	slot := len(a.slab)
	if n := len(a.free); n > 0 {
		slot, a.free = a.free[n-1], a.free[:n-1]
		a.slab[slot] = *t
	} else {
		a.slab = append(a.slab, *t)
	}
	a.serial++
	d := due{t.at, a.serial, slot}
	a.heap = append(a.heap, d)
	i := len(a.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !d.before(&a.heap[parent]) {
			break
		}
		a.heap[i] = a.heap[parent]
		i = parent
	}
	a.heap[i] = d
}

// next takes the earliest task off into t; false when there is none.
func (a *agenda) next(t *task) bool {
	if len(a.heap) == 0 {
		return false
	}
	slot, last := a.heap[0].slot, len(a.heap)-1
	d := a.heap[last]
	a.heap = a.heap[:last]
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && a.heap[child+1].before(&a.heap[child]) {
			child++
		}
		if !a.heap[child].before(&d) {
			break
		}
		a.heap[i] = a.heap[child]
		i = child
	}
	if last > 0 {
		a.heap[i] = d
	}
	*t = a.slab[slot]
	a.slab[slot] = task{}
	a.free = append(a.free, slot)
	return true
}
