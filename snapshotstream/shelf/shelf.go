// Package shelf is the store of a node's snapshots as the loop that drives its groups uses it: multiraft.SnapshotStore upon a
// snapshotstream.Store. It hides how fast states are written, what becomes of damaged ones, and what a full disk looks like.
//
//	s := shelf.New(store, shelf.Config{Rate: 64 << 20, Busy: engine.Busy})
package shelf

import (
	"context"
	"errors"
	"fmt"
	"io"

	"flotilla/internal/diskspace"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// Config is how a Shelf writes.
type Config struct {
	// Rate is in bytes per second; 0 does not limit it.
	Rate int64
	// Busy says that something more urgent waits for the disk; nil is never.
	Busy func() bool
	// Epoch is the one that this node has applied, for the headers; nil is none.
	Epoch func() snapshotstream.Epoch
}

// Shelf is safe for concurrent use, as its store is.
type Shelf struct {
	store *snapshotstream.Store
	cfg   Config
	pacer *snapshotstream.Pacer // nil does not limit
}

// New returns a Shelf upon store, which stays the caller's.
func New(store *snapshotstream.Store, cfg Config) *Shelf {
	s := &Shelf{store: store, cfg: cfg}
	if cfg.Rate > 0 {
		s.pacer = snapshotstream.NewPacer(cfg.Rate, nil)
	}
	return s
}

// Newest returns the newest snapshot of group g and the bytes of its state.
func (s *Shelf) Newest(g wire.GroupID) (wire.Snapshot, int64, bool) {
	h, ok := s.store.Newest(g)
	if !ok {
		return wire.Snapshot{}, 0, false
	}
	return h.Snapshot(), int64(h.BodyLength), true
}

// Save makes a snapshot of what write writes. Errors: wire.ErrNoSpace, and those of the store and of write.
func (s *Shelf) Save(g wire.GroupID, at wire.Snapshot, write func(io.Writer) error) error {
	state := snapshotstream.State{Group: g, Index: at.Index, Term: at.Term, Membership: at.Membership}
	if s.cfg.Epoch != nil {
		state.Epoch = s.cfg.Epoch()
	}
	w, err := s.store.Create(state)
	if err != nil {
		return saved(err)
	}
	if err := write(s.paced(context.Background(), w)); err != nil {
		return spaced(errors.Join(err, w.Abort()))
	}
	_, err = w.Commit()
	return saved(err)
}

// saved takes it for success that there is one as new already, and names a full disk as the ports do.
func saved(err error) error {
	if errors.Is(err, snapshotstream.ErrHeld) || errors.Is(err, snapshotstream.ErrOvertaken) {
		return nil
	}
	return spaced(err)
}

func spaced(err error) error {
	var low *diskspace.LowError
	if errors.As(err, &low) {
		return fmt.Errorf("%w: %w", wire.ErrNoSpace, err)
	}
	return err
}

// Load has read read a state to its end. A damaged snapshot is set aside; the error says so.
func (s *Shelf) Load(g wire.GroupID, i wire.Index, read func(io.Reader) error) error {
	x, err := s.store.Open(g, i)
	if err != nil {
		return err
	}
	defer x.Close()
	state, err := x.Body()
	if err == nil {
		err = read(state)
	}
	if errors.Is(err, snapshotstream.ErrCorrupt) {
		return errors.Join(err, s.store.SetAside(x.Header()))
	}
	return err
}

// Drop removes everything of group g.
func (s *Shelf) Drop(g wire.GroupID) error { return s.store.Drop(g) }

// paced returns w, written to no faster than the Shelf may, and by nobody any more once ctx has ended.
func (s *Shelf) paced(ctx context.Context, w io.Writer) io.Writer {
	if s.pacer == nil {
		return w
	}
	return &paced{ctx: ctx, s: s, w: w}
}

type paced struct {
	ctx context.Context // of the one call that writes
	s   *Shelf
	w   io.Writer
}

// pieceBytes is how much is written between two looks at what is more urgent.
const pieceBytes = 256 << 10

// Write implements io.Writer.
func (p *paced) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		piece := b[:min(len(b), pieceBytes)]
		if p.s.cfg.Busy != nil && p.s.cfg.Busy() {
			p.s.pacer.SlowDown()
		}
		if err = p.s.pacer.Wait(p.ctx, len(piece)); err != nil {
			break
		}
		var written int
		written, err = p.w.Write(piece)
		n, b = n+written, b[written:]
	}
	return n, err
}
