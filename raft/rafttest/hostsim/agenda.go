package hostsim

import "time"

// agenda is what is still to happen, ordered by time and then by the order of being written down, so that
// two things due at once always happen in the same order.
type agenda struct {
	heap   []task
	serial uint64
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
	serial uint64
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

func (a *agenda) before(i, j int) bool {
	x, y := &a.heap[i], &a.heap[j]
	return x.at < y.at || x.at == y.at && x.serial < y.serial
}

// add writes t down.
func (a *agenda) add(t *task) {
	a.serial++
	a.heap = append(a.heap, *t)
	i := len(a.heap) - 1
	a.heap[i].serial = a.serial
	for i > 0 {
		parent := (i - 1) / 2
		if !a.before(i, parent) {
			break
		}
		a.heap[i], a.heap[parent] = a.heap[parent], a.heap[i]
		i = parent
	}
}

// next takes the earliest task off into t; false when there is none.
func (a *agenda) next(t *task) bool {
	if len(a.heap) == 0 {
		return false
	}
	*t = a.heap[0]
	last := len(a.heap) - 1
	a.heap[0] = a.heap[last]
	a.heap[last] = task{}
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
	return true
}
