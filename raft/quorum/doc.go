// Package quorum says who agrees: which mark a majority of voters has reached, and how a vote stands.
//
// It hides the arithmetic of majorities, the place where systems of this kind have been one short (D35), and that
// of joint configurations, in which two majorities are needed: one of the incoming voters, one of the outgoing
// (thesis section 4.3). It guarantees that two majorities of the same voters always have a voter in common, and
// that without voters nothing is ever agreed. Everything here is a pure function or a value with one owner.
//
//	commit := quorum.Joint(incoming, outgoing)  // the highest index that both majorities hold
//	votes.Grant(from)
//	if votes.Verdict(m.Voters, m.Outgoing) == quorum.Won { ... }
package quorum
