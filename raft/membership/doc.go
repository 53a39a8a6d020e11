// Package membership is the law of configurations: which memberships are well formed, and what a set of changes
// makes of one.
//
// It hides nothing but rules, all pure functions. Whoever is to decide by the membership before a step meets
// whoever is to decide by the one after it: a step moves one voter at most (thesis section 4.1), or it goes by
// a joint configuration, in which majorities of the voters before and of those after are needed both (thesis
// section 4.3). The last voter stays; a voter becomes a learner only by a change that says so (D46). Who may
// propose a change and when is the core's business (raft/change.go).
//
//	next, err := membership.Next(m, entry.Index, set)
package membership
