package snapshotstream

import (
	"errors"
	"fmt"

	"flotilla/internal/assert"
)

// Writer makes a snapshot of which nothing is known beforehand but the state. It is an io.Writer for the machine's
// bytes, holds one chunk, and is for one goroutine. Until Commit there is nothing to see of it but a file that the next
// start removes.
type Writer struct {
	s      *Store
	g      *group
	header Header
	path   string
	file   File
	body   *chunker
	asked  uint64 // length of the body when space was last asked for
	synced uint64 // length of the body when it was last synced
	life   uint64 // of the group, when this began
	ended  bool
}

// Create begins a snapshot of state. Errors: ErrBusy, one of the group is being made; ErrHeld and ErrOvertaken, there
// is no need for it; ErrHeader; *diskspace.LowError; the file system's.
func (s *Store) Create(state State) (*Writer, error) {
	h := Header{State: state, ChunkSize: s.cfg.ChunkSize}
	w := &Writer{s: s, g: s.group(state.Group), header: h, path: s.at.file(&h, tmpSuffix)}
	err := h.Validate()
	if err == nil {
		err = w.begin()
	}
	if err != nil {
		return nil, fmt.Errorf("make snapshot of group %d at %d: %w", state.Group, state.Index, err)
	}
	return w, nil
}

func (w *Writer) begin() error {
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	if w.g.making {
		return ErrBusy
	}
	if err := w.g.newer(&w.header.State); err != nil {
		return err
	}
	if err := w.s.room(int64(w.header.ChunkSize)); err != nil {
		return err
	}
	if err := w.s.makeGroupDir(w.g.id); err != nil {
		return err
	}
	if err := absent(w.s.files, w.path); err != nil {
		return err
	}
	file, err := w.s.files.Create(w.path)
	if err != nil {
		return err
	}
	w.file, w.life, w.g.making = file, w.g.life, true
	w.body = newChunker(&writerAt{file: file, at: w.header.at(0)}, w.header.ChunkSize)
	return nil
}

// Write takes the next bytes of the body. Errors stay; Abort then.
func (w *Writer) Write(p []byte) (int, error) {
	assert.That(!w.ended, "snapshot of group %d goes on after its end", w.header.Group)
	if length := w.body.length() + uint64(len(p)); w.body.err == nil {
		switch {
		case length > MaxBody:
			w.body.err = fmt.Errorf("%w: body length", ErrHeader)
		case length > w.asked+spaceEveryBytes:
			w.asked, w.body.err = length, w.s.room(int64(len(p)))
		}
	}
	n, err := w.body.Write(p)
	if err == nil && w.body.length() > w.synced+syncEveryBytes {
		w.synced, err = w.body.length(), w.file.Sync()
		w.body.err = err
	}
	return n, err
}

// Commit ends the body and gives the snapshot its name; it is durable when Commit returns. Errors: ErrOvertaken when a
// newer one was received meanwhile; ErrTakenOver after Drop; those of Write; the file system's. The snapshot
// is not there then, but where its name was not synced: the next start may find it, whole.
func (w *Writer) Commit() (Header, error) {
	assert.That(!w.ended, "snapshot of group %d ends twice", w.header.Group)
	if err := w.complete(); err != nil {
		return Header{}, errors.Join(fmt.Errorf("make snapshot of group %d at %d: %w", w.header.Group, w.header.Index, err), w.Abort())
	}
	return w.header, nil
}

func (w *Writer) complete() error {
	sum, err := w.body.finish()
	if err != nil {
		return err
	}
	w.header.BodyLength = w.body.offset
	w.header.ID = w.header.idOf(sum)
	if _, err := w.file.WriteAt(appendTrailer(nil, w.header.BodyLength, sum), w.header.at(w.header.BodyLength)); err != nil {
		return err
	}
	if _, err := w.file.WriteAt(appendHeader(nil, &w.header), 0); err != nil {
		return err
	}
	if err := settle(w.file); err != nil {
		return err
	}
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	if w.life != w.g.life {
		return ErrTakenOver
	}
	if err := w.g.newer(&w.header.State); err != nil {
		return err
	}
	if err := publish(w.s.files, w.path, w.s.at.file(&w.header, snapSuffix)); err != nil {
		return err
	}
	w.end()
	w.s.adopt(w.g, w.header)
	return nil
}

// Abort throws the snapshot away. After Commit it does nothing.
func (w *Writer) Abort() error {
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	if w.ended {
		return nil
	}
	w.end()
	if w.life != w.g.life {
		return nil // removed already, and the name may be another one's by now
	}
	return absent(w.s.files, w.path)
}

// end closes the file. What Close says of it does not matter: it is synced, or thrown away.
func (w *Writer) end() {
	w.ended = true
	if w.life == w.g.life {
		w.g.making = false
	}
	_ = w.file.Close()
}
