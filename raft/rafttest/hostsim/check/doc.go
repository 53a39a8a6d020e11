// Package check holds the invariants of whole hosts, one type each. A checker is told what happened at the places that
// its invariant speaks of, keeps what it needs to know, and returns what is broken, if anything. None asks the engine
// what it thinks of itself where the disk, the wire or the machines can be asked instead.
//
// The zero value of every checker is ready. After an error a checker is of no further use. Not safe for concurrent use.
//
//	var elections check.Elections
//	err := elections.Led(group, term, leader) // "node 2 leads group 1 in term 4, which node 3 has led"
package check

import "flotilla/raft/wire"

// Sum digests bytes, to compare them later. It is the same in every process.
func Sum(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for ; len(b) >= 8; b = b[8:] {
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		h = (h ^ w) * 1099511628211
		h ^= h >> 29
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h ^ h>>31
}

// grow returns s with at least n elements.
func grow[T any](s []T, n int) []T {
	for len(s) < n {
		var zero T
		s = append(s, zero)
	}
	return s
}

// at returns the element of group g, made if need be. Groups of a simulation have small numbers.
func at[T any](s *[]T, g wire.GroupID) *T {
	*s = grow(*s, int(g)+1)
	return &(*s)[g]
}
