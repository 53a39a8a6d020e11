package flotilla

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Close stops the node with every courtesy (architecture section 9): not ready, new work refused, leaderships handed
// over and what is under way finished until ctx ends, peers told, goroutines joined, files closed. It is
// idempotent; each call returns the first one's error. Afterwards the same directory can be opened at once (P8).
func (h *Host) Close(ctx context.Context) error {
	h.closer.Do(func() {
		h.closing.Store(true)
		h.end(errClosed)
		h.closed = h.unwind(func(s step) func(*Host, context.Context) error { return s.close }, ctx)
	})
	return h.closed
}

// Kill stops the node without any courtesy, as kill -9 would, and closes its files. For tests.
func (h *Host) Kill() error {
	h.closer.Do(func() {
		h.closing.Store(true)
		h.end(errClosed)
		h.closed = h.unwind(func(s step) func(*Host, context.Context) error {
			if s.kill != nil {
				return s.kill
			}
			return s.close
		}, context.Background())
	})
	return h.closed
}

// unwind undoes the steps of Open that were taken, last first.
func (h *Host) unwind(undo func(step) func(*Host, context.Context) error, ctx context.Context) error {
	var errs []error
	for _, s := range slices.Backward(h.opened) {
		if fn := undo(s); fn != nil {
			if err := fn(h, ctx); err != nil {
				errs = append(errs, fmt.Errorf("close %s: %w", s.name, err))
			}
		}
	}
	h.opened = nil
	return errors.Join(errs...)
}
