package wire

// EntryKind says what an entry's Data means. Every kind has one value and one meaning (F16).
type EntryKind uint8

// The kinds of log entries. 0 is no kind, so that a zeroed record is never valid.
const (
	// EntryEmpty is the no-op a leader appends when its term begins (thesis section 6.4). Data is empty.
	EntryEmpty EntryKind = 1
	// EntryData carries packed commands for the group's state machine (see raft/multiraft).
	EntryData EntryKind = 2
	// EntryChange carries one encoded ChangeSet: the step to the next membership.
	EntryChange EntryKind = 3
)

// Valid reports whether k is a known kind.
func (k EntryKind) Valid() bool { return k >= EntryEmpty && k <= EntryChange }

// Entry is one record of a group's log. Data is immutable.
type Entry struct {
	Term  Term
	Index Index
	Kind  EntryKind
	Data  []byte
}

// entryOverhead is what an entry costs beyond its data, for byte windows: the largest encoded header.
const entryOverhead = 32

// Size is the number of bytes e counts for in windows and limits; an upper bound of its encoding.
func (e *Entry) Size() int { return len(e.Data) + entryOverhead }

// HardState is what a replica must have on disk before it answers in a term (thesis figure 3.1).
// Commit rides along for faster restarts: its change alone forces no disk commit.
type HardState struct {
	Term   Term
	Vote   NodeID
	Commit Index
}
