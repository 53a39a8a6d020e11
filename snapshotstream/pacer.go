package snapshotstream

import (
	"context"
	"sync"
	"time"

	"flotilla/internal/assert"
)

// Clock is a Pacer's time; nil is the real one.
type Clock interface {
	Now() time.Time
	// Sleep returns nil after d, or the context's cause when that comes first.
	Sleep(ctx context.Context, d time.Duration) error
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Pacer limits how fast bytes leave, over all transfers that share it, so that commits and elections find the link and
// the disks free (N6). It can be told that they do not; then it goes slower and comes back by and by. It may be used
// from several goroutines.
type Pacer struct {
	clock Clock

	mu   sync.Mutex
	rate int64     // bytes per second, when nothing waits
	part int       // the present rate is part/paceSteps of it
	told time.Time // when part last changed
	next time.Time // when the next bytes may leave
}

// NewPacer returns a Pacer of rate bytes per second, more than 0.
func NewPacer(rate int64, clock Clock) *Pacer {
	assert.That(rate > 0, "a pacer of %d bytes per second", rate)
	if clock == nil {
		clock = realClock{}
	}
	return &Pacer{clock: clock, rate: rate, part: paceSteps, next: clock.Now()}
}

// Wait returns when n more bytes may leave. Errors: the context's cause.
func (p *Pacer) Wait(ctx context.Context, n int) error {
	if d := p.reserve(n); d > 0 {
		return p.clock.Sleep(ctx, d)
	}
	return context.Cause(ctx)
}

// reserve takes the time of n bytes and returns how long it is until then.
func (p *Pacer) reserve(n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	p.recover(now)
	if earliest := now.Add(-paceBurst); p.next.Before(earliest) {
		p.next = earliest
	}
	wait := p.next.Sub(now)
	rate := float64(p.rate) * float64(p.part) / paceSteps
	p.next = p.next.Add(time.Duration(float64(n) / rate * float64(time.Second)))
	return wait
}

// SlowDown halves the rate, down to a sixteenth: something more urgent waits. Without being told again, the rate comes
// back a sixteenth every 250 ms.
func (p *Pacer) SlowDown() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	p.recover(now)
	p.part, p.told = max(p.part/2, 1), now
}

// Rate is the present one in bytes per second.
func (p *Pacer) Rate() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recover(p.clock.Now())
	return p.rate * int64(p.part) / paceSteps
}

func (p *Pacer) recover(now time.Time) {
	if p.part == paceSteps {
		return
	}
	steps := int(min(now.Sub(p.told)/paceRecovery, paceSteps))
	if steps > 0 {
		p.part, p.told = min(p.part+steps, paceSteps), now
	}
}
