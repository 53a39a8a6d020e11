package machinetest

import "time"

// How much the suite does: every kind of command should come a hundred times, and a machine on disk takes milliseconds for a batch.
const (
	// history is how many commands make a state.
	history = 600
	// onward is how many follow, to see whether two machines go on alike.
	onward = 200
	// batch is how many commands are applied at once where it does not matter.
	batch = 64
	// places is at how many places of a state it is cut off or damaged, all of it if it is not longer.
	places = 100
	// patience is how long an Apply may take while a frozen state is being written: for ever is what is looked for.
	patience = 20 * time.Second
)
