package client

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestEndOfPatience: an error tells the caller's own deadline in the caller's words, also when the last try ended by a
// deadline of its own a moment before.
func TestEndOfPatience(t *testing.T) {
	mine := noAnswer(300 * time.Millisecond)
	ended, cancel := context.WithDeadlineCause(context.Background(), time.Unix(0, 0), mine)
	defer cancel()
	plain, cancelPlain := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancelPlain()
	for name, c := range map[string]struct {
		ctx  context.Context
		last error
		want string
	}{
		"own deadline of the try":     {ended, fmt.Errorf("connect: %w", noAnswer(250*time.Millisecond)), "no answer within 300ms; last error: connect: no answer within 250ms"},
		"the caller's, seen in a try": {ended, fmt.Errorf("connect: %w", mine), "connect: no answer within 300ms"},
		"no words given":              {plain, fmt.Errorf("connect: %w", noAnswer(250*time.Millisecond)), "connect: no answer within 250ms"},
		"something else":              {plain, errors.New("refused"), "context deadline exceeded; last error: refused"},
	} {
		if got := wrapEnd(c.ctx, context.Cause(c.ctx), c.last); got.Error() != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if err := wrapEnd(context.Background(), nil, mine); err != nil {
		t.Errorf("still patient: %v", err)
	}
}
