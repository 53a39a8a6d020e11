// Package quorum says who agrees: which mark a majority of voters has reached, and how a vote stands.
//
// It hides the arithmetic of majorities, the place where systems of this kind have been one short (D35). It
// guarantees that two majorities of the same voters always have a voter in common, and that without voters
// nothing is ever agreed. Everything here is a pure function or a value with one owner.
//
//	commit := quorum.Reached(marks)            // the highest index that a majority holds
//	votes.Grant(from)
//	if votes.Verdict(voters) == quorum.Won { ... }
package quorum
