package framing

// Lane is a kind of lane as it stands in a preface, a refusal and the metrics. Numbers never change.
type Lane uint8

// The lanes. Append lanes are several, told apart by an index; of the others a connection has one.
const (
	LaneControl Lane = 1
	LaneAppend  Lane = 2
	LaneForward Lane = 3
	// LaneSnapshot is each stream of a snapshot.
	LaneSnapshot Lane = 4

	// NumLanes is one above the highest.
	NumLanes = 5
)
