package quorum

import "slices"

// Size returns how many of n voters are a majority: more than half (thesis section 3.3). Of no voters it is 1,
// which nobody reaches.
func Size(n int) int { return n/2 + 1 }

// Reached returns the highest mark that a majority of the voters has reached, given every voter's mark; 0
// without voters. It reorders marks and allocates nothing.
func Reached[M ~uint64](marks []M) M {
	if len(marks) == 0 {
		return 0
	}
	slices.Sort(marks)
	// The last Size(n) marks are those of a majority, and the lowest of them is what all of that majority reached.
	return marks[len(marks)-Size(len(marks))]
}

// Joint returns the highest mark that a majority of each half of a joint configuration has reached, given the mark
// of every voter of each; without outgoing ones it is Reached of the incoming. It reorders both.
func Joint[M ~uint64](incoming, outgoing []M) M {
	if len(outgoing) == 0 {
		return Reached(incoming)
	}
	return min(Reached(incoming), Reached(outgoing))
}
