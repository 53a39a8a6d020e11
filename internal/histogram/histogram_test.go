package histogram

import (
	"testing"
	"time"
)

// TestHistogram compares quantiles with a sorted list.
func TestHistogram(t *testing.T) {
	var h, part Histogram
	for i := 1; i <= 100_000; i++ {
		target := &h
		if i%2 == 0 {
			target = &part
		}
		target.Add(durationOf(i))
	}
	h.Merge(&part)
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999} {
		want := durationOf(int(q*100_000) + 1)
		got := h.Quantile(q)
		if got < want || got > want+want/32+2 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if h.count != 100_000 || h.Quantile(1) != h.max {
		t.Errorf("count %d, last %v, max %v", h.count, h.Quantile(1), h.max)
	}
}

func durationOf(i int) time.Duration { return time.Duration(i*i) * time.Microsecond }
