package snapshotstream

import (
	"context"
	"errors"
	"testing"
	"time"
)

// fakeClock moves when somebody sleeps.
type fakeClock struct{ now time.Time }

func (c *fakeClock) Now() time.Time { return c.now }

func (c *fakeClock) Sleep(ctx context.Context, d time.Duration) error {
	c.now = c.now.Add(d)
	return context.Cause(ctx)
}

// took is how long it takes until n pieces of size bytes have left, and the next one may.
func took(t *testing.T, p *Pacer, c *fakeClock, n, size int) time.Duration {
	t.Helper()
	begin := c.now
	for range n {
		if err := p.Wait(t.Context(), size); err != nil {
			t.Fatal(err)
		}
	}
	return c.now.Sub(begin)
}

// N6: bytes leave at the rate, told to slow down at a part of it, and by and by at the rate again.
func TestPacer(t *testing.T) {
	c := &fakeClock{now: time.Unix(1000, 0)}
	p := NewPacer(16<<20, c)
	if got := took(t, p, c, 64, 1<<20); got != 63*time.Second/16 {
		t.Errorf("64 MiB at 16 MiB/s, the last one not waited for: %v", got)
	}
	p.SlowDown()
	if got := p.Rate(); got != 8<<20 {
		t.Errorf("told once: %d", got)
	}
	for range 9 {
		p.SlowDown()
	}
	if got := p.Rate(); got != 1<<20 {
		t.Errorf("told for long: %d", got)
	}
	c.now = c.now.Add(paceRecovery - 1)
	if got := p.Rate(); got != 1<<20 {
		t.Errorf("too early: %d", got)
	}
	c.now = c.now.Add(1)
	if got := p.Rate(); got != 2<<20 {
		t.Errorf("a step later: %d", got)
	}
	c.now = c.now.Add(time.Hour)
	if got := p.Rate(); got != 16<<20 {
		t.Errorf("an hour later: %d", got)
	}
	// A pause is not made up for: 50 ms of it at most.
	if got, most := took(t, p, c, 17, 1<<20), 950*time.Millisecond; got != most {
		t.Errorf("after a pause, 16 MiB in %v, want %v", got, most)
	}
}

// Told again and again, a transfer goes on at a sixteenth.
func TestPacerUnderLoad(t *testing.T) {
	c := &fakeClock{now: time.Unix(1000, 0)}
	p := NewPacer(16<<20, c)
	begin := c.now
	for range 41 {
		p.SlowDown()
		if err := p.Wait(t.Context(), 256<<10); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.now.Sub(begin); got < 8*time.Second || got > 11*time.Second {
		t.Errorf("10 MiB at a sixteenth, or an eighth now and then: %v", got)
	}
}

func TestPacerEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	closing := errors.New("closing")
	p := NewPacer(1, nil) // the real clock, and a byte a second
	if err := p.Wait(ctx, 3600); err != nil {
		t.Fatal(err)
	}
	cancel(closing)
	for range 2 {
		if err := p.Wait(ctx, 1); !errors.Is(err, closing) {
			t.Errorf("waited with %v", err)
		}
	}
}
