// Package crashpoint kills the process, as kill -9 would, at a named step: for tests that have to hit a moment of
// microseconds with a real process.
//
//	crashpoint.Here(crashpoint.InstallRestored)
//
// Without the build tag "crashpoints" that is nothing: no binary that users run holds any of it. Under the tag the point that
// FLOTILLA_CRASH_AT names is deadly.
package crashpoint

// Point names a step.
type Point string

// The steps of receiving and installing a snapshot (snapshotstream/DESIGN.md R1 to R7, raft/multiraft/DESIGN.md).
const (
	ReceiveBegun    Point = "receive-begun"    // part and mark are there, no chunk is (R1)
	ReceiveChunk    Point = "receive-chunk"    // a chunk is written, its window is not marked (R2)
	ReceiveMarked   Point = "receive-marked"   // a window is durable and marked (R3)
	ReceiveVerified Point = "receive-verified" // the whole was verified, it is not sealed (R4)
	ReceiveSealed   Point = "receive-sealed"   // sealed, it does not have its name (R5)
	ReceiveRenamed  Point = "receive-renamed"  // it has its name, no directory is synced (R6)
	ReceiveHeld     Point = "receive-held"     // it is there for good, its mark too (R6)
	InstallBegun    Point = "install-begun"    // the core knows of it, the machine does not (R7)
	InstallRestored Point = "install-restored" // the machine has taken it over, the log has not moved
	InstallMoved    Point = "install-moved"    // the log has moved, nobody was told
)

// All are the points, in the order in which an install comes by.
func All() []Point {
	return []Point{
		ReceiveBegun, ReceiveChunk, ReceiveMarked, ReceiveVerified, ReceiveSealed, ReceiveRenamed, ReceiveHeld,
		InstallBegun, InstallRestored, InstallMoved,
	}
}

// Variable is the environment variable that names the deadly point.
const Variable = "FLOTILLA_CRASH_AT"
