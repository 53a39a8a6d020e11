// Package autopsy looks into the data directory of a node that is stopped, and never writes.
//
// It hides which files a node has and who can read them: the catalog, the log, snapshots that are whole or were received in part.
// What is wrong is a finding; an error means that something could not be looked at. A node that runs is catalog.ErrInUse.
//
//	err := autopsy.Verify("flotilla-data", time.Second, func(f autopsy.Finding) { fmt.Println(f) })
package autopsy

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"flotilla/catalog"
	"flotilla/raft/logstore"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// Finding is one thing that is not as it was written.
type Finding struct {
	// Part is "catalog", "log" or "snapshots".
	Part string `json:"part"`
	// Group is the one concerned, nil when the finding is about a file.
	Group *wire.GroupID `json:"group,omitempty"`
	// Harmless says that nobody misses anything.
	Harmless bool   `json:"harmless"`
	Message  string `json:"message"`
}

// String is a line for people.
func (f Finding) String() string { return fmt.Sprintf("%s: %s", f.Part, f.Message) }

// Verify reads every record in dir and reports what is wrong. wait is how long it waits for a node that holds dir.
func Verify(dir string, wait time.Duration, report func(Finding)) error {
	_, err := catalog.Inspect(filepath.Join(dir, "catalog.db"), wait)
	var corrupt *catalog.CorruptionError
	switch {
	case errors.As(err, &corrupt):
		report(Finding{Part: "catalog", Message: err.Error()})
	case err != nil:
		return err
	}
	err = logstore.Verify(filepath.Join(dir, "log"), func(f logstore.Finding) {
		out := Finding{Part: "log", Harmless: f.Harmless, Message: f.String()}
		if f.Group != logstore.NoGroup {
			out.Group = &f.Group
		}
		report(out)
	})
	if err != nil {
		return err
	}
	return snapshotstream.VerifyDir(dir, func(f snapshotstream.Finding) {
		report(Finding{Part: "snapshots", Group: &f.Group, Harmless: f.Harmless, Message: f.String()})
	})
}
