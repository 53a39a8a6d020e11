package progress

// State is how a leader replicates to one follower.
type State uint8

// The states.
const (
	// Probe: where the logs part is not known; one append at a time until it is.
	Probe State = iota
	// Replicate: the follower takes everything; appends are pipelined within the window.
	Replicate
	// Snapshot: what the follower needs is compacted away here; nothing is sent until a snapshot has arrived.
	Snapshot
)

// String returns the state's name.
func (s State) String() string { return [...]string{"probe", "replicate", "snapshot"}[s] }
