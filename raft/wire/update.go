package wire

// LogUpdate is what one turn wants durable for one group. A store applies the parts in the order
// of the fields. Entries is empty or contiguous, starts at most one past the log's last index, and
// supersedes what the log held from Entries[0].Index on (F9, F11).
//
// A reset is how a log moves to a snapshot. It comes with hard state and membership, so that all of it moves in one commit
// or nothing does (P37, D53); it goes forward only, beyond what is committed and what is compacted.
type LogUpdate struct {
	Group GroupID
	// Create makes the group with Membership; legal only for a group the store does not hold.
	Create bool
	// Drop removes the group and its log; the other fields are zero then.
	Drop bool
	// SetHardState says that HardState is to be written. It is set whenever Entries is not empty.
	SetHardState bool
	HardState    HardState
	// ResetTo, when not 0, empties the log and lets it begin after ResetTo, whose entry was of ResetTerm.
	ResetTo   Index
	ResetTerm Term
	Entries   []Entry
	// SetMembership says that Membership is the one now in effect.
	SetMembership bool
	Membership    Membership
	// CompactTo, when not 0, lets go of entries up to and including it. It must not exceed the last index.
	CompactTo Index
}

// Snapshot names a state of a group: what its machine had applied up to and including Index. Where the data is,
// only hosts know.
type Snapshot struct {
	Index Index
	// Term is that of the entry at Index.
	Term Term
	// Membership is the one in effect at Index; its own Index is not above that (D53).
	Membership Membership
}

// GroupState is what a store holds of one group when it is opened.
type GroupState struct {
	Group      GroupID
	HardState  HardState
	Membership Membership
	// First is the first index the log still holds, Last the last; an empty log has Last = First-1.
	First Index
	Last  Index
	// PrevTerm is the term of the entry at First-1; 0 when First is 1.
	PrevTerm Term
	// Err is not nil when the group's records are corrupt: the group is quarantined, others are fine.
	Err error
}
