package snapshotstream

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"flotilla/raft/wire"
)

// StepKind says what is done to a leftover.
type StepKind uint8

// The steps of a start.
const (
	// StepRemove removes a file.
	StepRemove StepKind = iota + 1
	// StepAdopt gives a snapshot that had been received, verified and made durable its name.
	StepAdopt
	// StepSetAside takes a damaged snapshot out of use and keeps it to be looked at.
	StepSetAside
)

// Step is one thing that a start does, and why. Each may be done twice.
type Step struct {
	Kind StepKind
	Path string
	To   string // where it goes, unless it is removed
	Why  string
	// Group and Err are those of what is set aside: without the snapshot, the group may lack a beginning for its log.
	Group wire.GroupID
	Err   error
}

// String says it as an operator would.
func (s Step) String() string {
	switch s.Kind {
	case StepRemove:
		return fmt.Sprintf("remove %s: %s", s.Path, s.Why)
	case StepAdopt:
		return fmt.Sprintf("finish %s as %s: %s", s.Path, s.To, s.Why)
	default:
		return fmt.Sprintf("set %s aside as %s: %v", s.Path, s.To, s.Err)
	}
}

// plan says what has to be done so that the directory holds whole snapshots, the newest two of each group, and of each
// group at most one that is being received and is newer than they are. It is a function of the survey alone: a start
// that is interrupted plans anew.
func plan(s *survey, at layout) []Step {
	var steps []Step
	remove := func(path, why string) { steps = append(steps, Step{Kind: StepRemove, Path: path, Why: why}) }
	for _, path := range s.temps {
		if strings.HasSuffix(path, namingSuffix) {
			remove(path, "a snapshot was being given its name")
			continue
		}
		remove(path, "half made")
	}
	for _, path := range s.strays {
		remove(path, "received in part, and its beginning or its mark is missing")
	}
	held := map[wire.GroupID][]Header{}
	for _, f := range s.snaps {
		if f.err == nil {
			held[f.group] = append(held[f.group], f.header)
			continue
		}
		for _, old := range s.aside {
			if old.group == f.group {
				remove(old.path, "a later one is set aside")
			}
		}
		to := f.path[:len(f.path)-len(snapSuffix)] + badSuffix
		steps = append(steps, Step{Kind: StepSetAside, Path: f.path, To: to, Why: "damaged", Group: f.group, Err: f.err})
	}
	steps = append(steps, planStaged(s, at, held)...)
	for _, g := range sortedGroups(held) {
		list := held[g]
		slices.SortFunc(list, func(a, b Header) int { return newerFirst(&a, &b) })
		for i := Kept; i < len(list); i++ {
			remove(at.file(&list[i], snapSuffix), "older than the newest two")
		}
	}
	return steps
}

// planStaged finishes what is sealed, which counts as held from then on, and lets go of what is overtaken.
func planStaged(s *survey, at layout, held map[wire.GroupID][]Header) []Step {
	var steps []Step
	drop := func(f *stagedFile, why string) {
		steps = append(steps, Step{Kind: StepRemove, Path: f.note, Why: why}, Step{Kind: StepRemove, Path: f.part, Why: why})
	}
	newest := func(g wire.GroupID) wire.Index {
		var i wire.Index
		for _, h := range held[g] {
			i = max(i, h.Index)
		}
		return i
	}
	for i := range s.staged {
		f := &s.staged[i]
		if f.mark.state != sealed || newest(f.header.Group) >= f.header.Index {
			continue
		}
		to := at.file(&f.header, snapSuffix)
		steps = append(steps, Step{Kind: StepAdopt, Path: f.part, To: to, Why: "it was verified"}, Step{Kind: StepRemove, Path: f.note, Why: "it was verified"})
		held[f.header.Group] = append(held[f.header.Group], f.header)
	}
	kept := map[wire.GroupID]*stagedFile{}
	for i := range s.staged {
		f := &s.staged[i]
		g := f.header.Group
		switch other := kept[g]; {
		case slices.ContainsFunc(steps, func(s Step) bool { return s.Path == f.part }): // adopted
		case newest(g) >= f.header.Index:
			drop(f, "a newer one is here")
		case other == nil:
			kept[g] = f
		case newerFirst(&f.header, &other.header) < 0:
			drop(other, "a newer one is being received")
			kept[g] = f
		default:
			drop(f, "a newer one is being received")
		}
	}
	return steps
}

func sortedGroups(held map[wire.GroupID][]Header) []wire.GroupID {
	groups := make([]wire.GroupID, 0, len(held))
	for g := range held {
		groups = append(groups, g)
	}
	slices.Sort(groups)
	return groups
}

// execute does steps in their order. What is gone already was done before.
func execute(files Files, steps []Step) error {
	var dirs []string
	for _, s := range steps { // a name that was being given is durable before what says so goes
		if strings.HasSuffix(s.Path, namingSuffix) {
			if err := files.SyncDir(filepath.Dir(s.Path)); err != nil {
				return fmt.Errorf("sync %s: %w", filepath.Dir(s.Path), err)
			}
		}
	}
	for _, s := range steps {
		var err error
		switch s.Kind {
		case StepRemove:
			err = absent(files, s.Path)
		case StepAdopt: // the crash may have come before the group's directory was made
			if err = makeDir(files, filepath.Dir(s.To)); err == nil {
				err = publish(files, s.Path, s.To)
			}
		case StepSetAside:
			err = files.Rename(s.Path, s.To)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
		if dir := filepath.Dir(s.Path); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range dirs {
		if err := files.SyncDir(dir); err != nil {
			return fmt.Errorf("sync %s: %w", dir, err)
		}
	}
	return nil
}
