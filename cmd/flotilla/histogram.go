package main

import (
	"math/bits"
	"time"
)

// Each power of two of a histogram is cut into this many buckets: values are exact to 1 in 64.
const (
	histSubBits = 6
	histSub     = 1 << histSubBits
)

// histogram counts durations in microseconds, of any number in fixed memory. The zero value is empty. One owner.
type histogram struct {
	buckets [(64 - histSubBits + 1) * histSub]uint64
	count   uint64
	max     time.Duration
}

func (h *histogram) add(d time.Duration) {
	h.buckets[bucketOf(uint64(max(d, 0).Microseconds()))]++
	h.count++
	h.max = max(h.max, d)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.max = max(h.max, o.max)
}

// quantile returns an upper bound of the value that a share q of all does not exceed, 0 when empty.
func (h *histogram) quantile(q float64) time.Duration {
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
