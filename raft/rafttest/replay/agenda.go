package replay

// Agenda is what is still to happen, ordered by time and then by the order of being written down, so that
// two things due at once always happen in the same order. The heap holds no pointers: it is what a run does most.
// The zero value is empty.
type Agenda[Time ~int64, Task any] struct {
	heap   []due[Time]
	slab   []Task
	free   []int
	serial uint64
}

type due[Time ~int64] struct {
	at     Time
	serial uint64
	slot   int
}

func (d *due[Time]) before(o *due[Time]) bool {
	return d.at < o.at || d.at == o.at && d.serial < o.serial
}

// Add writes *t down for time at.
func (a *Agenda[Time, Task]) Add(at Time, t *Task) {
	slot := len(a.slab)
	if n := len(a.free); n > 0 {
		slot, a.free = a.free[n-1], a.free[:n-1]
		a.slab[slot] = *t
	} else {
		a.slab = append(a.slab, *t)
	}
	a.serial++
	d := due[Time]{at, a.serial, slot}
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

// Next takes the earliest task off into *t; ok is false when there is none.
func (a *Agenda[Time, Task]) Next(t *Task) (at Time, ok bool) {
	if len(a.heap) == 0 {
		return 0, false
	}
	top, last := a.heap[0], len(a.heap)-1
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
	var none Task
	*t, a.slab[top.slot] = a.slab[top.slot], none
	a.free = append(a.free, top.slot)
	return top.at, true
}
