package snapshotstream

import (
	"errors"
	"fmt"

	"flotilla/internal/crashpoint"
	"flotilla/raft/wire"
)

// Receiver is one session of receiving a snapshot into a Store. It is for one goroutine, but Accept of another session
// may take the transfer over at any time.
//
//	r, err := store.Accept(header)
//	for r.Offset() < header.BodyLength { err = r.Chunk(record) } // from r.Offset() on
//	header, err = r.Finish(trailer)
//	err = r.Close()                                              // always
type Receiver struct {
	s          *Store
	g          *group
	header     Header
	part, note File
	written    uint64 // of the body: where the next chunk goes
	buf        []byte // for looking at chunks that are there already
	closed     bool
}

// Header returns the header of what is received.
func (r *Receiver) Header() Header { return r.header }

// Offset is where in the body the next chunk begins.
func (r *Receiver) Offset() uint64 { return r.written }

// Window is how many bytes of the body there are between two marks.
func (r *Receiver) Window() uint64 {
	size := uint64(r.header.ChunkSize)
	n := min(max(r.header.BodyLength/windowsPerBody, size), maxWindow)
	return max(n-n%size, size)
}

// Durable is up to where the body is durable and noted: a transfer goes on there at worst, whatever happens.
func (r *Receiver) Durable() uint64 {
	r.g.mu.Lock()
	defer r.g.mu.Unlock()
	if st := r.g.staged; st != nil && st.owner == r {
		return st.mark.offset
	}
	return 0
}

// Chunk takes the next chunk as it came, checks it and writes it; every Window it makes durable what came and notes it.
// Errors: *CorruptError, a strike against the snapshot, or *QuarantinedError, the second one; ErrTakenOver;
// *diskspace.LowError; the file system's. Close then; what came before stays.
func (r *Receiver) Chunk(record []byte) error {
	return r.do("chunk", func(st *staging) error {
		if r.written == r.header.BodyLength {
			return r.strike(corrupt("chunk", r.written, errTrailing))
		}
		if len(record) != chunkLead+r.header.chunkAt(r.written) {
			return r.strike(corrupt("chunk", r.written, errLength))
		}
		if err := checkChunk(record, r.written); err != nil {
			return r.strike(err)
		}
		if _, err := r.part.WriteAt(record, r.header.at(r.written)); err != nil {
			return err
		}
		r.written += uint64(len(record) - chunkLead)
		if r.written-st.mark.offset < r.Window() && r.written < r.header.BodyLength {
			crashpoint.Here(crashpoint.ReceiveChunk)
			return nil
		}
		if err := r.s.room(r.header.FileSize() - r.header.at(r.written)); err != nil {
			return err
		}
		return r.advance(st)
	})
}

// advance notes what was written. If the disk does not take it, nothing is known of the file any more, not even of what
// was noted before: a failed sync may have thrown bytes away that reading shows as if they were there. It goes.
func (r *Receiver) advance(st *staging) error {
	if err := r.noteDown(st, receiving); err != nil {
		return errors.Join(err, r.s.unstage(r.g))
	}
	crashpoint.Here(crashpoint.ReceiveMarked)
	return nil
}

// Finish takes the trailer, verifies the whole file as it can be read, makes it durable, and gives it its name. When it
// returns nil the Store holds the snapshot, for good. Errors: ErrIncomplete; those of Chunk; ErrHeld and ErrOvertaken.
//
// The steps, each of which may be the last before a crash: trailer written; verified; synced; noted as sealed; renamed;
// directory synced; mark removed; older ones removed. Up to "sealed" the transfer goes on where its mark is; from there
// the next start finishes it.
func (r *Receiver) Finish(trailer []byte) (Header, error) {
	var part File
	err := r.do("end", func(*staging) error {
		if r.written != r.header.BodyLength {
			return ErrIncomplete
		}
		if _, err := parseTrailer(trailer, &r.header); err != nil {
			return r.strike(err)
		}
		part = r.part
		_, err := part.WriteAt(trailer, r.header.at(r.written))
		return err
	})
	if err != nil {
		return Header{}, err
	}
	bad := verify(part, &r.header) // long, and without the lock: a session that takes over meanwhile wins
	err = r.do("install", func(st *staging) error {
		if bad != nil {
			return r.fail(st, bad)
		}
		crashpoint.Here(crashpoint.ReceiveVerified)
		if err := r.g.newer(&r.header.State); err != nil {
			return errors.Join(err, r.s.unstage(r.g))
		}
		return r.install(st)
	})
	if err != nil {
		return Header{}, err
	}
	return r.header, nil
}

func (r *Receiver) install(st *staging) error {
	if err := r.noteDown(st, sealed); err != nil {
		return errors.Join(err, r.s.unstage(r.g))
	}
	crashpoint.Here(crashpoint.ReceiveSealed)
	if err := r.s.makeGroupDir(r.g.id); err != nil {
		return err
	}
	if err := publish(r.s.files, r.s.at.staged(&r.header, partSuffix), r.s.at.file(&r.header, snapSuffix)); err != nil {
		return err
	}
	crashpoint.Here(crashpoint.ReceiveHeld)
	r.g.staged = nil
	r.closeFiles()
	_ = absent(r.s.files, r.s.at.staged(&r.header, markSuffix)) // without its part it is a stray; the next start knows
	r.g.clears(&r.header)
	r.s.adopt(r.g, r.header)
	return nil
}

// fail decides what is left of a file that does not verify. A chunk that was good when it came and is not any more is
// the disk's fault: the transfer goes on before it. Otherwise nobody knows which part is wrong, and all of it goes.
func (r *Receiver) fail(st *staging, bad error) error {
	if !errors.Is(bad, ErrCorrupt) {
		return bad
	}
	var at *CorruptError
	if errors.As(bad, &at) && at.What == "chunk" && r.header.boundary(at.Offset) {
		r.written = at.Offset
		return errors.Join(r.strike(bad), r.keep(st))
	}
	return errors.Join(r.strike(bad), r.s.unstage(r.g))
}

// keep notes a mark that went back, unless a strike has taken the files away.
func (r *Receiver) keep(st *staging) error {
	if r.g.staged != st {
		return nil
	}
	return r.advance(st)
}

// strike counts a corruption against the snapshot, and lets go of it with the second one.
func (r *Receiver) strike(cause error) error {
	err := r.g.strikes(&r.header, cause)
	var out *QuarantinedError
	if errors.As(err, &out) {
		return errors.Join(err, r.s.unstage(r.g))
	}
	return err
}

// Close ends the session: what came is made durable and noted, and can be gone on with. It may be called again.
func (r *Receiver) Close() error {
	if r.closed {
		return nil
	}
	err := r.do("close", func(st *staging) error {
		if r.written == st.mark.offset {
			return nil
		}
		return r.advance(st)
	})
	r.g.mu.Lock()
	defer r.g.mu.Unlock()
	r.closed = true
	if st := r.g.staged; st != nil && st.owner == r {
		st.owner = nil
	}
	r.closeFiles()
	if errors.Is(err, ErrTakenOver) {
		return nil
	}
	return err
}

// do runs f with the group's lock, as long as this session has the transfer.
func (r *Receiver) do(what string, f func(*staging) error) error {
	r.g.mu.Lock()
	defer r.g.mu.Unlock()
	st := r.g.staged
	err := ErrTakenOver
	if !r.closed && st != nil && st.owner == r {
		err = f(st)
	}
	if err != nil {
		return fmt.Errorf("%s at byte %d of snapshot %s of group %d: %w", what, r.written, r.header.ID, r.header.Group, err)
	}
	return nil
}

// closeFiles lets go of the files. What Close says of them does not matter: what counts is synced. With the group's
// lock held.
func (r *Receiver) closeFiles() {
	for _, f := range []File{r.part, r.note} {
		if f != nil {
			_ = f.Close()
		}
	}
	r.part, r.note = nil, nil
}

// Staged says what of a group's snapshot is here in part, and up to where it is durable.
func (s *Store) Staged(id wire.GroupID) (h Header, durable uint64, ok bool) {
	g := s.group(id)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.staged == nil {
		return Header{}, 0, false
	}
	return g.staged.header, g.staged.mark.offset, true
}
