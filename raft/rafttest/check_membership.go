package rafttest

import (
	"fmt"
	"slices"

	"flotilla/raft/wire"
)

// MembershipChain: the memberships of a group are one chain, the same for all replicas, lives and disks (D45), and
// whoever decides by one of them meets whoever decides by the next (thesis sections 4.1 and 4.3).
type MembershipChain struct {
	known map[wire.Index]wire.Membership
	at    map[wire.NodeID]wire.Membership
}

// Name returns the invariant's number in package raft and its name.
func (*MembershipChain) Name() string { return "I12 membership chain" }

// Observe compares the membership in e with what others had at its index, and with the one before.
func (c *MembershipChain) Observe(_ *Model, e *Event) error {
	if e.Kind != EventStart && e.Kind != EventState && e.Kind != EventMembership || e.Err != nil {
		return nil
	}
	if c.known == nil {
		c.known, c.at = map[wire.Index]wire.Membership{}, map[wire.NodeID]wire.Membership{}
	}
	now := e.Membership
	old, seen := c.known[now.Index]
	c.known[now.Index] = now
	if got, want := FormatMembership(&now), FormatMembership(&old); seen && got != want {
		return fmt.Errorf("%s has %s, another one had %s", e.Node, got, want)
	}
	before, had := c.at[e.Node]
	c.at[e.Node] = now
	if e.Kind == EventMembership && had && !seen && now.Index > before.Index && !meet(&before, &now) {
		return fmt.Errorf("%s goes from %s to %s, and not all that decide by one meet all that decide by the other",
			e.Node, FormatMembership(&before), FormatMembership(&now))
	}
	return nil
}

// meet tries all ways to split the voters in two: never may one part decide by a and the other by b.
func meet(a, b *wire.Membership) bool {
	voters := slices.Concat(a.AllVoters(), b.AllVoters())
	slices.Sort(voters)
	voters = slices.Compact(voters)
	for split := range 1 << len(voters) {
		first := func(n wire.NodeID) bool { return split>>slices.Index(voters, n)&1 == 1 }
		if decides(a, first) && decides(b, func(n wire.NodeID) bool { return !first(n) }) {
			return false
		}
	}
	return true
}

// JointIsLeft: a leader appends the end of a joint configuration in one, any other change outside of one.
type JointIsLeft struct{}

// Name returns the invariant's number in package raft and its name.
func (*JointIsLeft) Name() string { return "I12 joint is left" }

// Observe checks the change entries that a leader writes in its own term.
func (*JointIsLeft) Observe(m *Model, e *Event) error {
	r := m.Replica(e.Node)
	if e.Kind != EventWrite || !isLeader(r.Now) {
		return nil
	}
	for i := range e.Update.Entries {
		entry := &e.Update.Entries[i]
		if entry.Kind != wire.EntryChange || entry.Term != r.Now.Term {
			continue
		}
		set := wire.ReadChangeSet(wire.NewReader(entry.Data))
		if leaves := len(set.Changes) == 0; leaves != r.Membership.Joint() {
			return fmt.Errorf("%s appends %s and has %s", e.Node, FormatEntry(entry), FormatMembership(&r.Membership))
		}
	}
	return nil
}

// decides reports whether the nodes that are in are enough to decide anything in m: a majority of the voters, in a
// joint configuration of either half.
func decides(m *wire.Membership, in func(wire.NodeID) bool) bool {
	for _, half := range [...][]wire.NodeID{m.Voters, m.Outgoing} {
		n := 0
		for _, v := range half {
			if in(v) {
				n++
			}
		}
		if len(half) > 0 && 2*n <= len(half) {
			return false
		}
	}
	return len(m.Voters) > 0
}
