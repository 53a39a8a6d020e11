// Package fanout tells many listeners what happens, without ever waiting for one of them: each has a bounded queue, and who
// does not keep up loses the oldest of what waits and learns how many were lost.
//
//	var news fanout.Topic[Event]
//	for e, missed := range news.Listen(ctx, 64) { ... }
//	news.Tell(Event{})
package fanout

import (
	"context"
	"iter"
	"sync"
)

// Topic is something to listen to. The zero value is ready; methods are safe for concurrent use.
type Topic[T any] struct {
	mu        sync.Mutex
	listeners map[*listener[T]]struct{}
	closed    bool
}

// listener is one queue. The topic's mutex guards it but for ring.
type listener[T any] struct {
	queue  []T
	limit  int
	missed int
	ring   chan struct{} // capacity 1
}

// Tell tells v to everybody who listens. It waits for nobody.
func (t *Topic[T]) Tell(v T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l := range t.listeners {
		if len(l.queue) == l.limit {
			l.queue, l.missed = append(l.queue[:0], l.queue[1:]...), l.missed+1
		}
		l.queue = append(l.queue, v)
		l.wake()
	}
}

// Close ends every listening once what waits is heard. Nothing more may be told.
func (t *Topic[T]) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for l := range t.listeners {
		l.wake()
	}
}

func (l *listener[T]) wake() {
	select {
	case l.ring <- struct{}{}:
	default:
	}
}

// Listen returns what is told from this call on, until ctx ends, the topic is closed or the loop is left; queue at least 1 bounds what may
// wait. The second value is how many were lost right before the first. The sequence may be ranged over once.
func (t *Topic[T]) Listen(ctx context.Context, queue int) iter.Seq2[T, int] {
	l := &listener[T]{limit: max(queue, 1), ring: make(chan struct{}, 1)}
	t.mu.Lock()
	if t.listeners == nil {
		t.listeners = map[*listener[T]]struct{}{}
	}
	t.listeners[l] = struct{}{}
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		delete(t.listeners, l)
		t.mu.Unlock()
	}
	stop := context.AfterFunc(ctx, leave) // also when nobody ever ranges over it
	return func(yield func(T, int) bool) {
		defer leave()
		defer stop()
		for {
			batch, missed, last := t.take(l)
			for _, v := range batch {
				if ctx.Err() != nil || !yield(v, missed) {
					return
				}
				missed = 0
			}
			if last {
				return
			}
			select {
			case <-l.ring:
			case <-ctx.Done():
				return
			}
		}
	}
}

// take empties l's queue; last says that nothing will ever be in it again.
func (t *Topic[T]) take(l *listener[T]) (batch []T, missed int, last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	batch, missed = l.queue, l.missed
	l.queue, l.missed = nil, 0
	return batch, missed, t.closed
}
