package snapshotstream

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"flotilla/raft/wire"
)

// found is a whole snapshot's file, or what is called so.
type found struct {
	group  wire.GroupID
	path   string
	header Header
	// err says how it is damaged.
	err error
}

// stagedFile is a pair of files in recv/.
type stagedFile struct {
	header     Header
	mark       mark
	part, note string // paths
}

// survey is what a directory holds at start.
type survey struct {
	snaps  []found
	temps  []string // being made when the lights went out
	aside  []found  // set aside earlier, group and path alone
	staged []stagedFile
	strays []string // in recv/, and nothing can be made of them
}

// look reads names, headers, trailers and marks. It changes nothing. Files that are not ours are not mentioned.
func look(files Files, at layout) (survey, error) {
	var s survey
	groups, err := files.List(at.snaps())
	if err != nil {
		return s, err
	}
	for _, name := range groups {
		g, ok := groupNumber(name)
		if !ok {
			continue
		}
		if err := s.lookAtGroup(files, at, g); err != nil {
			return s, err
		}
	}
	err = s.lookAtReceived(files, at)
	s.sort()
	return s, err
}

func (s *survey) lookAtGroup(files Files, at layout, g wire.GroupID) error {
	names, err := files.List(at.group(g))
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(at.group(g), name)
		switch {
		case strings.HasSuffix(name, tmpSuffix):
			s.temps = append(s.temps, path)
		case strings.HasSuffix(name, badSuffix):
			s.aside = append(s.aside, found{group: g, path: path})
		case strings.HasSuffix(name, snapSuffix):
			h, err := peek(files, path)
			if err != nil && !errors.Is(err, ErrCorrupt) {
				return fmt.Errorf("%s: %w", path, err) // unreadable, or of a later version: not ours to touch
			}
			if err == nil && at.file(&h, snapSuffix) != path {
				err = corrupt("header", headerLead, errors.New("of another file: "+stem(&h)))
			}
			s.snaps = append(s.snaps, found{group: g, path: path, header: h, err: err})
		}
	}
	return nil
}

// peek reads a file's header, length and trailer.
func peek(files Files, path string) (Header, error) {
	f, err := files.Open(path)
	if err != nil {
		return Header{}, err
	}
	defer f.Close()
	h, err := headerIn(f)
	if err != nil {
		return Header{}, err
	}
	switch size, err := f.Size(); {
	case err != nil:
		return Header{}, err
	case size != h.FileSize():
		return h, corrupt("file", uint64(size), errLength)
	}
	_, err = trailerIn(f, &h)
	return h, err
}

// unreadable reports whether err is neither nil nor something said of the bytes.
func unreadable(err error) bool {
	var version *VersionError
	return err != nil && !errors.Is(err, ErrCorrupt) && !errors.As(err, &version)
}

func (s *survey) lookAtReceived(files Files, at layout) error {
	names, err := files.List(at.received())
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(at.received(), name)
		if strings.HasSuffix(name, importSuffix) {
			s.temps = append(s.temps, path)
			continue
		}
		if base, ok := strings.CutSuffix(name, markSuffix); ok {
			if _, _, ours := stagedName(base); ours && !slices.Contains(names, base+partSuffix) {
				s.strays = append(s.strays, path)
			}
			continue
		}
		base, ok := strings.CutSuffix(name, partSuffix)
		group, id, ours := stagedName(base)
		if !ok || !ours {
			continue
		}
		one := stagedFile{part: path, note: filepath.Join(at.received(), base+markSuffix)}
		usable, err := one.read(files)
		if err != nil {
			return err
		}
		if usable && one.header.Group == group && one.header.ID == id {
			s.staged = append(s.staged, one)
			continue
		}
		s.strays = append(s.strays, path)
		if slices.Contains(names, base+markSuffix) {
			s.strays = append(s.strays, one.note)
		}
	}
	return nil
}

// read fills in header and mark, and reports whether they go together.
func (s *stagedFile) read(files Files) (bool, error) {
	part, err := files.Open(s.part)
	if err != nil {
		return false, err
	}
	defer part.Close()
	if s.header, err = headerIn(part); err != nil {
		if unreadable(err) {
			return false, err
		}
		return false, nil
	}
	note, err := files.Open(s.note)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer note.Close()
	m, ok, err := readMark(note)
	if err != nil || !ok {
		return false, err
	}
	s.mark = m
	return m.id == s.header.ID && s.header.boundary(m.offset) && (m.state == receiving || m.offset == s.header.BodyLength), nil
}

// sort makes what follows independent of the order in which names are listed.
func (s *survey) sort() {
	slices.Sort(s.temps)
	slices.Sort(s.strays)
	byPath := func(a, b found) int { return cmp.Compare(a.path, b.path) }
	slices.SortFunc(s.snaps, byPath)
	slices.SortFunc(s.aside, byPath)
	slices.SortFunc(s.staged, func(a, b stagedFile) int { return cmp.Compare(a.part, b.part) })
}

// newerFirst orders headers of one group.
func newerFirst(a, b *Header) int {
	return cmp.Or(cmp.Compare(b.Index, a.Index), cmp.Compare(b.Term, a.Term))
}
