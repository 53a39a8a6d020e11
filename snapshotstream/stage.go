package snapshotstream

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strconv"

	"flotilla/raft/wire"
)

// Staged is a snapshot of a group that does not have its id yet. It is an io.Writer for the body, holds one chunk, and is for one
// goroutine. Until Adopt there is nothing to see of it but a file that the next start removes.
type Staged struct {
	s      *Store
	header Header
	path   string
	file   File
	body   *chunker
	synced uint64
	sum    [sha256.Size]byte
	ended  bool
}

// Stage begins a snapshot of state, whose Group is not known yet, with a body of length bytes. Errors: ErrHeader; *diskspace.LowError; the
// file system's.
func (s *Store) Stage(state State, length uint64) (*Staged, error) {
	st := &Staged{s: s, header: Header{State: state, ChunkSize: s.cfg.ChunkSize, BodyLength: length}}
	st.header.Group = 0
	err := st.header.Validate()
	if err == nil {
		err = s.room(st.header.FileSize())
	}
	if err == nil {
		st.path = filepath.Join(s.at.received(), strconv.FormatUint(s.stages.Add(1), 10)+importSuffix)
		st.file, err = s.files.Create(st.path)
	}
	if err != nil {
		return nil, fmt.Errorf("import snapshot at %d: %w", state.Index, err)
	}
	st.body = newChunker(&writerAt{file: st.file, at: st.header.at(0)}, st.header.ChunkSize)
	return st, nil
}

// Write takes the next bytes of the body. Errors stay.
func (st *Staged) Write(p []byte) (int, error) {
	if st.body.err == nil && st.body.length()+uint64(len(p)) > st.header.BodyLength {
		st.body.err = fmt.Errorf("%w: body length", ErrHeader)
	}
	n, err := st.body.Write(p)
	if err == nil && st.body.length() > st.synced+syncEveryBytes {
		st.synced, err = st.body.length(), st.file.Sync()
		st.body.err = err
	}
	return n, err
}

// Seal ends the body and makes it durable.
func (st *Staged) Seal() error {
	sum, err := st.body.finish()
	switch {
	case err != nil:
		return err
	case st.body.offset != st.header.BodyLength:
		return fmt.Errorf("%w: body length", ErrHeader)
	}
	st.sum = sum
	if _, err := st.file.WriteAt(appendTrailer(nil, st.header.BodyLength, sum), st.header.at(st.header.BodyLength)); err != nil {
		return err
	}
	return st.file.Sync()
}

// Adopt makes it the snapshot of group id, after Seal. It is durable when Adopt
// returns. Errors: ErrHeld, ErrOvertaken, the file system's.
func (st *Staged) Adopt(id wire.GroupID) (Header, error) {
	h := st.header
	h.Group = id
	h.ID = h.idOf(st.sum)
	if err := st.adopt(&h); err != nil {
		return Header{}, fmt.Errorf("import snapshot of group %d at %d: %w", h.Group, h.Index, err)
	}
	return h, nil
}

func (st *Staged) adopt(h *Header) error {
	if err := h.Validate(); err != nil {
		return err
	}
	if _, err := st.file.WriteAt(appendHeader(nil, h), 0); err != nil { // as long as the one that room was left for: a group's id has a fixed length
		return err
	}
	if err := settle(st.file); err != nil {
		return err
	}
	g := st.s.group(h.Group)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.newer(&h.State); err != nil {
		return err
	}
	if err := st.s.makeGroupDir(g.id); err != nil {
		return err
	}
	if err := publish(st.s.files, st.path, st.s.at.file(h, snapSuffix)); err != nil {
		return err
	}
	st.ended = true
	_ = st.file.Close() // synced
	st.s.adopt(g, *h)
	return nil
}

// Discard throws it away. After Adopt it does nothing.
func (st *Staged) Discard() error {
	if st.ended {
		return nil
	}
	st.ended = true
	_ = st.file.Close()
	return absent(st.s.files, st.path)
}
