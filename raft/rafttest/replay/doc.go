// Package replay is what makes a simulation the same each time it is run from a seed: an agenda that does two things due
// at once always in the same order, a hash over everything that happens, and the test that a run has the same hash twice,
// in another process too (N10). The simulators own the tasks, the time and the events.
//
//	var a replay.Agenda[Time, task]
//	a.Add(now+delay, &task{...})
//	for at, ok := a.Next(&t); ok; at, ok = a.Next(&t) { ... }
package replay
