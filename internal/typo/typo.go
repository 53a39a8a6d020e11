// Package typo finds the word of a list that was probably meant by one that is not in it: a slip of the pen, or a part of the
// word. It says nothing rather than something far-fetched.
package typo

import (
	"slices"
	"strings"
)

// Nearest returns the known word that given was probably meant to be, or "": one that differs by a slip, else one that
// shares a part with it, like --port and --base-port.
func Nearest(given string, known []string) string {
	slip := min(max(2, len(given)/3)+1, len(given)) // at least one letter must stay
	if word := closest(given, known, slip); word != "" {
		return word
	}
	related := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return !partOf(given, k) && !partOf(k, given) })
	return closest(given, related, len(given)+maxWord)
}

// maxWord is longer than any command or flag.
const maxWord = 64

// closest returns the known word nearest to given, within less than limit changes.
func closest(given string, known []string, limit int) string {
	best, word := limit, ""
	for _, k := range known {
		if d := distance(given, k); d < best {
			best, word = d, k
		}
	}
	return word
}

// partOf reports whether part is one of the words of whole, or its beginning.
func partOf(part, whole string) bool {
	return slices.Contains(strings.Split(whole, "-"), part) || len(part) >= 3 && strings.HasPrefix(whole, part)
}

// distance is the number of letters to add, drop or change to get from a to b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
