package flotilla

// StateMachine is what a group replicates. It is made empty at each start and gets the group's whole log applied,
// on every node alike: Apply depends on nothing else, no clock, no chance, nothing outside. One goroutine calls it.
//
// An error of Apply, or a panic of any method, takes the group out of service on that node until its next start (P4). As
// all nodes apply the same log, a command that cannot be applied stops the group everywhere: answer what makes no sense
// with a result, which goes to its caller, and have Config.Vet keep what cannot be read out of the log. If it
// happened, a corrected program recovers the group with all that was acknowledged: it applies the log anew.
type StateMachine interface {
	// Apply applies commands in log order and returns one result for each, which its caller gets; results may be
	// nil. The batch is valid during the call, its commands' data for ever.
	Apply(batch []Command) (results [][]byte, err error)
	// Query answers a request from the present state and changes nothing. An error is its caller's alone.
	Query(request []byte) ([]byte, error)
}
