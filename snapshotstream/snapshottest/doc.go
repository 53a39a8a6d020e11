// Package snapshottest is for tests only: a file system in memory for a snapshotstream.Store, which knows what is durable
// and what is not. It can lose its power at every step, run full, and flip bits.
//
// What a power cut leaves is drawn by a seed within what POSIX allows: of bytes that were not synced any sector, of names
// that were not synced any; what was synced is there.
//
//	disk := snapshottest.NewDisk()
//	disk.CutAfter(17)                       // the 17th change from now on fails, and everything after it
//	store, err := snapshotstream.Open(snapshotstream.Config{Dir: "/", Files: disk, Free: disk.Free})
//	...
//	disk = disk.Restart(snapshottest.Torn(rng)) // what is there afterwards
package snapshottest
