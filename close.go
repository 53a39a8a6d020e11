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
	return h.stop(ctx, func(s step) func(*Host, context.Context) error { return s.close })
}

// Kill stops the node without any courtesy, as kill -9 would, and closes its files. For tests.
func (h *Host) Kill() error {
	return h.stop(context.Background(), func(s step) func(*Host, context.Context) error {
		if s.kill != nil {
			return s.kill
		}
		return s.close
	})
}

// stop undoes the steps of Open that were taken, last first; the first caller's way of undoing counts.
func (h *Host) stop(ctx context.Context, undo func(step) func(*Host, context.Context) error) error {
	h.closer.Do(func() {
		h.closing.Store(true)
		h.end(errClosed)
		var errs []error
		for _, s := range slices.Backward(h.opened) {
			if fn := undo(s); fn != nil {
				if err := fn(h, ctx); err != nil {
					errs = append(errs, fmt.Errorf("close %s: %w", s.name, err))
				}
			}
		}
		h.events.Close()
		h.views.Close()
		h.closed = errors.Join(errs...)
	})
	return h.closed
}
