// Package membership is the law of configurations: which memberships are well formed, and what a change makes
// of one.
//
// It hides nothing but rules, all pure functions: one node at a time (thesis section 4.1), so that the
// majorities before and after a change always meet; the last voter stays; a voter is never turned into a
// learner by the way (D46). Who may propose a change and when is the core's business (raft/change.go).
//
//	next, err := membership.Next(m, entry.Index, change)
package membership
