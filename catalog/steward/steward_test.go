package steward

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"flotilla/raft/wire"
)

// A step that does not come to its end is told of as any that fails, or nobody would learn why nothing moves; what the end of the node cut off
// is not.
func TestStuckStepsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []StepFailed
		s := New(Config{Events: func(e StepFailed) { told = append(told, e) }})
		stuck := func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		s.start(t.Context(), task{group: 1}, "stick", restAfterError, stuck)
		s.tasks.Wait()
		if len(told) != 1 || told[0].Group != 1 || !errors.Is(told[0].Err, context.DeadlineExceeded) {
			t.Errorf("told %+v", told)
		}
		life, end := context.WithCancel(t.Context())
		s.start(life, task{group: wire.GroupID(2)}, "stick", restAfterError, stuck)
		end()
		s.tasks.Wait()
		if len(told) != 1 {
			t.Errorf("told of the node's end, too: %+v", told)
		}
	})
}
