package integration

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// TestHistoryFindsStaleRead shows that the checker bites: a read that returns an older value after a
// newer one was acknowledged is no linearizable history.
func TestHistoryFindsStaleRead(t *testing.T) {
	for _, c := range []struct {
		name string
		seen string
		want porcupine.CheckResult
	}{
		{"fresh read", "b", porcupine.Ok},
		{"stale read", "a", porcupine.Illegal},
		{"lost write", "", porcupine.Illegal},
		{"value from nowhere", "c", porcupine.Illegal},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := NewHistory()
			h.Wrote(1, h.Now(), "k", "a", applied)
			h.Wrote(1, h.Now(), "k", "b", applied)
			h.Saw(2, h.Now(), "k", c.seen)
			if got := h.Check(10 * time.Second); got != c.want {
				t.Errorf("verdict %v, want %v", got, c.want)
			}
		})
	}
}

// TestHistoryUnknownWrite: a write with unknown outcome may show up later or never.
func TestHistoryUnknownWrite(t *testing.T) {
	h := NewHistory()
	h.Wrote(1, h.Now(), "k", "a", applied)
	h.Wrote(2, h.Now(), "k", "b", unknown)
	h.Saw(3, h.Now(), "k", "a")
	h.Saw(3, h.Now(), "k", "b")
	h.Saw(3, h.Now(), "k", "b")
	if got := h.Check(10 * time.Second); got != porcupine.Ok {
		t.Errorf("verdict %v, want Ok", got)
	}
	h.Saw(3, h.Now(), "k", "a")
	if got := h.Check(10 * time.Second); got != porcupine.Illegal {
		t.Errorf("going back to the old value: verdict %v, want Illegal", got)
	}
}
