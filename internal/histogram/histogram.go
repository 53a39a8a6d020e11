// Package histogram counts durations in fixed memory, for quantiles that are exact to 1 in 64 however many there were.
package histogram

import (
	"math/bits"
	"time"
)

// Each power of two is cut into this many buckets: values are exact to 1 in 64.
const (
	histSubBits = 6
	histSub     = 1 << histSubBits
)

// Histogram counts durations in microseconds. The zero value is empty. One owner.
type Histogram struct {
	buckets [(64 - histSubBits + 1) * histSub]uint64
	count   uint64
	max     time.Duration
}

// Add counts d; a negative one counts as none.
func (h *Histogram) Add(d time.Duration) {
	h.buckets[bucketOf(uint64(max(d, 0).Microseconds()))]++
	h.count++
	h.max = max(h.max, d)
}

// Merge counts what o has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.max = max(h.max, o.max)
}

// Count returns how many were added.
func (h *Histogram) Count() uint64 { return h.count }

// Max returns the longest duration added.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile returns an upper bound of the value that a share q of all does not exceed, 0 when empty.
func (h *Histogram) Quantile(q float64) time.Duration {
	left := uint64(q * float64(h.count))
	for i, n := range h.buckets {
		if n > left {
			return min(time.Duration(upperOf(i))*time.Microsecond, h.max)
		}
		left -= n
	}
	return h.max
}

// bucketOf: below histSub each value has its own; above, the leading histSubBits+1 bits choose.
func bucketOf(v uint64) int {
	shift := max(bits.Len64(v)-histSubBits-1, 0)
	return shift*histSub + int(v>>shift)
}

// upperOf returns the largest value of a bucket.
func upperOf(i int) uint64 {
	if i < 2*histSub {
		return uint64(i)
	}
	shift := i/histSub - 1
	return (uint64(i-shift*histSub)+1)<<shift - 1
}
