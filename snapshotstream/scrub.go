package snapshotstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"flotilla/raft/wire"
)

// Scrubbed is what one Scrub came to.
type Scrubbed struct {
	// Snapshots and Bytes were read.
	Snapshots int
	Bytes     int64
	// Damaged were set aside. Whoever needs one of them makes or gets another.
	Damaged []Damaged
}

// Damaged is a snapshot that was found damaged, and how.
type Damaged struct {
	Header Header
	Err    error
}

// Scrub reads the whole snapshots of all groups, chunk by chunk and against the checksum of the whole, and sets aside those that
// are not what was written. pace is told of the bytes of each piece that is read, and may take its time; nothing is held up
// meanwhile, and a snapshot that is being read is not removed. Errors: pace's, most likely ctx's end, and those of the file
// system; what was found before is returned with them.
func (s *Store) Scrub(ctx context.Context, pace func(ctx context.Context, n int) error) (Scrubbed, error) {
	var out Scrubbed
	for _, id := range s.known() {
		for _, h := range s.List(id) {
			err := s.check(ctx, &h, pace, &out)
			switch {
			case errors.Is(err, ErrNotHeld): // another one took its place
			case errors.Is(err, ErrCorrupt):
				out.Damaged = append(out.Damaged, Damaged{h, err})
				if err := s.SetAside(h); err != nil && !errors.Is(err, ErrNotHeld) {
					return out, err
				}
			case err != nil:
				return out, fmt.Errorf("scrub snapshots: %w", err)
			}
		}
	}
	return out, nil
}

// known returns the groups that have anything here, sorted.
func (s *Store) known() []wire.GroupID {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]wire.GroupID, 0, len(s.groups))
	for id := range s.groups {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// check reads the snapshot of h to its end.
func (s *Store) check(ctx context.Context, h *Header, pace func(context.Context, int) error, out *Scrubbed) error {
	x, err := s.Open(h.Group, h.Index)
	if err != nil {
		return err
	}
	defer x.Close()
	out.Snapshots++
	body, err := x.Body()
	if err != nil {
		return err
	}
	n, err := io.Copy(writer(func(p []byte) (int, error) { return len(p), pace(ctx, len(p)) }), body)
	out.Bytes += n
	return err
}

// writer is a function that is written to.
type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// Finding is one fault that VerifyDir found.
type Finding struct {
	Group wire.GroupID
	Path  string
	Err   error
	// Harmless says that nobody misses anything: the next start sees to it, or another attempt.
	Harmless bool
}

// String names group, file and fault.
func (f Finding) String() string {
	text := fmt.Sprintf("group %d: %s: %v", f.Group, f.Path, f.Err)
	if f.Harmless {
		text += " (harmless)"
	}
	return text
}

// VerifyDir reads every snapshot in the data directory dir, whole ones and what was received in part, and reports what is wrong, without
// changing anything; snapshots that were set aside as damaged are told as harmless. Nobody else may work in the directory. Other
// errors than what is said of the bytes are those of the file system. A directory without snapshots is fine.
func VerifyDir(dir string, report func(Finding)) error {
	return verifyDir(readOnly{}, layout{dir}, report)
}

func verifyDir(files Files, at layout, report func(Finding)) error {
	found, err := look(files, at)
	if err != nil {
		return fmt.Errorf("verify snapshots: %w", err)
	}
	for _, f := range found.snaps {
		if f.err == nil {
			f.err = readThrough(files, f.path, &f.header)
		}
		switch {
		case errors.Is(f.err, ErrCorrupt):
			report(Finding{Group: f.group, Path: f.path, Err: f.err})
		case f.err != nil:
			return fmt.Errorf("verify %s: %w", f.path, f.err)
		}
	}
	for _, f := range found.aside {
		report(Finding{Group: f.group, Path: f.path, Err: fmt.Errorf("%w: it was set aside", ErrCorrupt), Harmless: true})
	}
	for _, f := range found.staged {
		if err := f.verify(files); errors.Is(err, ErrCorrupt) {
			report(Finding{Group: f.header.Group, Path: f.part, Err: err, Harmless: f.mark.state != sealed})
		} else if err != nil {
			return fmt.Errorf("verify %s: %w", f.part, err)
		}
	}
	return nil
}

// readThrough reads the file of h to its end.
func readThrough(files Files, path string, h *Header) error {
	f, err := files.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := NewDecoder(io.NewSectionReader(f, 0, h.FileSize()+1))
	if err == nil {
		_, err = io.Copy(io.Discard, d)
	}
	return err
}

// verify reads what the mark says is here.
func (s *stagedFile) verify(files Files) error {
	if s.mark.state == sealed {
		return readThrough(files, s.part, &s.header)
	}
	f, err := files.Open(s.part)
	if err != nil {
		return err
	}
	defer f.Close()
	var buf []byte
	for at := uint64(0); at < s.mark.offset; {
		if buf, err = chunkIn(buf[:0], f, &s.header, at); err != nil {
			return err
		}
		at += uint64(len(buf) - chunkLead)
	}
	return nil
}
