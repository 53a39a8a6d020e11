package server

import (
	"sync"
	"sync/atomic"
)

// pool runs tasks on goroutines that are kept: a fresh one would grow its stack anew for every request.
type pool struct {
	work    chan task
	done    <-chan struct{}
	max     int64
	workers *atomic.Int64
	idle    *atomic.Int64
	wg      *sync.WaitGroup
}

func newPool(max int, done <-chan struct{}) pool {
	return pool{
		work: make(chan task), done: done, max: int64(max),
		workers: new(atomic.Int64), idle: new(atomic.Int64), wg: new(sync.WaitGroup),
	}
}

// run has t carried out at once, or returns false when too much is under way. The caller's own goroutine must be one
// that the server joins before it waits for the pool.
func (p *pool) run(t task) bool {
	select {
	case p.work <- t:
		return true
	default:
	}
	if p.workers.Add(1) > p.max {
		p.workers.Add(-1)
		return false
	}
	p.wg.Go(func() {
		defer p.workers.Add(-1)
		for {
			t.run()
			t = task{} // lets go of the request while waiting
			if p.idle.Add(1) > idleWorkers {
				p.idle.Add(-1)
				return
			}
			select {
			case t = <-p.work:
				p.idle.Add(-1)
			case <-p.done:
				p.idle.Add(-1)
				return
			}
		}
	})
	return true
}

// wait joins the workers; done is closed by then and nobody calls run any more.
func (p *pool) wait() { p.wg.Wait() }
