package quictransport

import (
	"sync"
	"testing"
	"time"

	"flotilla/quictransport/framing"
)

// told counts the events that somebody should look at.
type told struct {
	mu     sync.Mutex
	events []Event
}

func (l *told) hear(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Trouble() {
		l.events = append(l.events, e)
	}
}

func (l *told) take() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.events
	l.events = nil
	return all
}

// A node that is refused again and again is told of once for each reason, also one that this node does not know, and one whose
// reasons take turns or never read the same. Once it has stood, it is news again.
func TestRefusalsAreToldOnce(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		var log told
		a := w.node(1, func(c *Config) { c.Events = log.hear })
		r := w.raw(9)
		refused := func(change func(*framing.Preface), want Reason) {
			t.Helper()
			qc := r.mustDial(a)
			p := r.preface(framing.LaneControl)
			change(&p)
			r.write(qc, p.Append(nil))
			wantEnd(t, qc, want)
			after(10 * time.Millisecond) // the books
		}
		cluster := func() { refused(func(p *framing.Preface) { p.Cluster[0]++ }, ReasonWrongCluster) }
		version := func(v uint64) {
			refused(func(p *framing.Preface) { p.Versions = framing.Versions{Min: v, Max: v} }, ReasonVersion)
		}
		for range 20 {
			cluster()
			version(WireMax + 1)
		}
		if got := log.take(); len(got) != 2 {
			t.Errorf("two reasons that take turns were told %d times: %v", len(got), got)
		}
		start := time.Now()
		for i := range uint64(200) {
			version(WireMax + 2 + i)
		}
		if got, most := len(log.take()), hushTexts+int(time.Since(start)/hushEvery); got > most || got < hushTexts-2 {
			t.Errorf("200 reasons that read differently were told %d times, %d at most", got, most)
		}
		qc := r.mustDial(a)
		r.join(qc, a)
		wantEnd(t, qc, ReasonSilence) // after it has stood that long
		log.take()
		cluster()
		cluster()
		if got := log.take(); len(got) != 1 {
			t.Errorf("after it had stood, it was told of %d times: %v", len(got), got)
		}
	})
}
