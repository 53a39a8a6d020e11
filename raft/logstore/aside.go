package logstore

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
)

// Files aside: a group that is taken out of service for what it has lost needs its files no more, but they may hold all of it but one
// entry, and this may be its last replica (ADR 0007). So they are given another name each, under which they stay for whoever can make
// something of them, until no group is out of service any more: then all were dropped, which nobody does to a last replica.

// setAside gives the files of gens their other names. One that cannot be read is in none, and stays as it is.
func (s *Store) setAside(gens []*generation) {
	s.writer.aside = true
	var errs []error
	for _, g := range gens {
		errs = append(errs, s.opts.files.link(g.path, g.path+badSuffix))
	}
	if err := errors.Join(append(errs, s.opts.files.syncDir(s.opts.Dir))...); err != nil {
		s.opts.Events(HousekeepingFailed{What: "set damaged files aside", Err: err})
	}
}

// clearAside removes them when no group is out of service.
func (s *Store) clearAside() {
	if !s.writer.aside || slices.ContainsFunc(slices.Collect(maps.Values(s.mu.groups)), func(g *group) bool { return g.fault() != nil }) {
		return
	}
	s.writer.aside = false
	names, err := s.opts.files.list(s.opts.Dir)
	var paths []string
	for _, name := range names {
		if filepath.Ext(name) == badSuffix {
			paths = append(paths, filepath.Join(s.opts.Dir, name))
		}
	}
	if err = errors.Join(err, s.removeAll(paths)); err != nil { // the next start does it
		s.opts.Events(HousekeepingFailed{What: "remove what was set aside", Err: err})
	}
}
