package multiraft

import (
	"context"
	"sync/atomic"

	"flotilla/raft/wire"
)

// Result is what a command left behind.
type Result struct {
	// Index and Term are those of the entry that carried the command.
	Index wire.Index
	Term  wire.Term
	// Value is what the state machine returned for it; the caller owns it.
	Value []byte
}

// outcome ends a caller's wait.
type outcome struct {
	result Result
	err    error
}

// The states of a caller.
const (
	callerWaiting uint32 = iota // nothing was begun for it
	callerTaken                 // its owner began: leaving now leaves an unknown outcome
	callerGone                  // it left; nobody reads the outcome
)

// caller is someone outside the loop who waits for one outcome. The engine answers exactly once, also those
// who left: the channel has room for it.
type caller struct {
	state atomic.Uint32
	done  chan outcome  // capacity 1
	tell  func(outcome) // called instead of filling done, when not nil: it must not block
}

// take begins; false when the caller has left already.
func (c *caller) take() bool { return c.state.CompareAndSwap(callerWaiting, callerTaken) }

// gone reports whether the caller has left.
func (c *caller) gone() bool { return c.state.Load() == callerGone }

// answer ends the wait. The engine must not touch c afterwards: its caller may reuse it.
func (c *caller) answer(out outcome) {
	if c.tell != nil {
		c.tell(out)
		return
	}
	c.done <- out
}

// leave gives up and says whether the engine had taken the call of group id in.
func (c *caller) leave(id wire.GroupID, cause error) *wire.Error {
	err := &wire.Error{Code: wire.CodeTimeout, Group: id, Cause: cause}
	if c.state.Swap(callerGone) == callerTaken {
		err.Code = wire.CodeUnknownOutcome
	}
	return err
}

// wait returns the outcome. When ctx ended first answered is false, and the error says whether the engine had
// taken the call of group id in.
func (c *caller) wait(ctx context.Context, id wire.GroupID) (out outcome, answered bool) {
	select {
	case out = <-c.done:
		return out, true
	case <-ctx.Done():
	}
	err := c.leave(id, context.Cause(ctx))
	select {
	case out = <-c.done: // both at once: the outcome is worth more
		return out, true
	default:
		return outcome{err: err}, false
	}
}
