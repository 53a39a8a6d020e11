package snapshotstream

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"flotilla/internal/assert"
	"flotilla/internal/crashpoint"
	"flotilla/internal/mutant"
)

// staging is a snapshot of which a part is here, of a group that has it. It outlives sessions and processes.
type staging struct {
	header Header
	mark   mark
	// recheck: what the mark says was written in an earlier life of the process, and is to be read again.
	recheck bool
	// owner is the session that goes on with it, nil when there is none. An earlier one finds itself taken over.
	owner *Receiver
}

// Accept opens a session to receive the snapshot of h, going on where an earlier one has got to, whoever sent it. An
// earlier session of the group that has not ended is taken over: its connection is most likely dead and nobody knows yet.
// Another snapshot of the group that had been received in part is let go of.
//
// Errors: ErrHeld, ErrOvertaken, *QuarantinedError, *diskspace.LowError, ErrHeader, or the file system's.
func (s *Store) Accept(h Header) (*Receiver, error) {
	r := &Receiver{s: s, g: s.group(h.Group), header: h}
	err := h.Validate()
	if err == nil {
		err = r.open()
	}
	if err != nil {
		return nil, fmt.Errorf("receive snapshot %s of group %d at %d: %w", h.ID, h.Group, h.Index, err)
	}
	return r, nil
}

func (r *Receiver) open() error {
	r.g.mu.Lock()
	defer r.g.mu.Unlock()
	if err := r.g.newer(&r.header.State); err != nil {
		return err
	}
	if err := r.g.refuses(&r.header); err != nil {
		return err
	}
	if st := r.g.staged; st != nil && st.header.sameContent(&r.header) {
		offered := r.header
		r.header = st.header // as it stands in the file: the offer's may have another epoch
		err := r.resume(st)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		r.header = offered
	}
	if err := r.s.unstage(r.g); err != nil {
		return err
	}
	err := r.start()
	crashpoint.Here(crashpoint.ReceiveBegun)
	return err
}

// start makes the two files. Until their names are durable a crash leaves nothing, or strays.
func (r *Receiver) start() (err error) {
	if err := r.s.room(r.header.FileSize() + markStride + markSize); err != nil {
		return err
	}
	part, note := r.s.at.staged(&r.header, partSuffix), r.s.at.staged(&r.header, markSuffix)
	if err := errors.Join(absent(r.s.files, note), absent(r.s.files, part)); err != nil {
		return err
	}
	// An earlier mark of this very snapshot, which may have been removed long ago, must not come back beside the new part: it may be sealed.
	if err := r.s.files.SyncDir(r.s.at.received()); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			r.closeFiles()
			err = errors.Join(err, absent(r.s.files, note), absent(r.s.files, part))
		}
	}()
	if r.part, err = r.s.files.Create(part); err != nil {
		return err
	}
	if _, err := r.part.WriteAt(appendHeader(nil, &r.header), 0); err != nil {
		return err
	}
	if err := r.part.Sync(); err != nil {
		return err
	}
	if r.note, err = r.s.files.Create(note); err != nil {
		return err
	}
	m := mark{id: r.header.ID, seq: 1, state: receiving}
	if err := writeMark(r.note, &m); err != nil {
		return err
	}
	if err := r.s.files.SyncDir(r.s.at.received()); err != nil {
		return err
	}
	r.g.staged = &staging{header: r.header, mark: m, owner: r}
	return nil
}

// resume opens the two files, and after a restart looks again at what is in them.
func (r *Receiver) resume(st *staging) (err error) {
	if err := r.s.room(r.header.FileSize() - r.header.at(st.mark.offset)); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			r.closeFiles()
		}
	}()
	if r.part, err = r.s.files.Open(r.s.at.staged(&r.header, partSuffix)); err != nil {
		return err
	}
	if r.note, err = r.s.files.Open(r.s.at.staged(&r.header, markSuffix)); err != nil {
		return err
	}
	r.written = st.mark.offset
	if st.recheck || st.owner != nil { // or a session that is taken over has written more than it noted
		if err := r.recheck(st); err != nil {
			return err
		}
	}
	st.owner, st.recheck = r, false
	return nil
}

// recheck moves the mark to where the chunks really are good: back, should the disk have lost what it said to have;
// forward, over what a killed process had written and not noted.
func (r *Receiver) recheck(st *staging) error {
	good, err := r.goodUpTo(st.mark.offset)
	if err != nil {
		return err
	}
	if good == st.mark.offset {
		for good < r.header.BodyLength {
			if r.buf, err = chunkIn(r.buf[:0], r.part, &r.header, good); unreadable(err) {
				return err
			}
			if err != nil {
				break
			}
			good += uint64(r.header.chunkAt(good))
		}
	}
	r.written = good
	if good == st.mark.offset && st.mark.state == receiving {
		return nil
	}
	return r.noteDown(st, receiving)
}

// goodUpTo returns how far the chunks below offset are good, looking at the last recheckBytes of them; if the first of
// these is bad, at those before, too.
func (r *Receiver) goodUpTo(offset uint64) (uint64, error) {
	size := uint64(r.header.ChunkSize)
	for end := offset; end > 0; {
		start := max(end, recheckBytes) - recheckBytes
		start -= start % size
		for at := start; at < end; at += size {
			var err error
			r.buf, err = chunkIn(r.buf[:0], r.part, &r.header, at)
			if unreadable(err) {
				return 0, err
			}
			if err != nil {
				end = at
				break
			}
			if at+size >= end {
				return end, nil
			}
		}
		if end > start {
			return end, nil
		}
	}
	return 0, nil
}

// noteDown makes what was written durable, and then says so: the other way round a power cut leaves a mark above nothing.
func (r *Receiver) noteDown(st *staging, state markState) error {
	assert.That(r.header.boundary(r.written), "mark of snapshot %s at %d, amid a chunk", r.header.ID, r.written)
	if !mutant.Is(mutant.MarkUnsynced) {
		if err := r.part.Sync(); err != nil {
			return err
		}
	}
	m := mark{id: r.header.ID, seq: st.mark.seq + 1, offset: r.written, state: state}
	if err := writeMark(r.note, &m); err != nil {
		return err
	}
	st.mark = m
	return nil
}

// unstage lets go of what was received of a group's snapshot. With the group's lock held.
func (s *Store) unstage(g *group) error {
	st := g.staged
	if st == nil {
		return nil
	}
	g.staged = nil
	if st.owner != nil {
		st.owner.closeFiles()
	}
	return errors.Join(absent(s.files, s.at.staged(&st.header, markSuffix)), absent(s.files, s.at.staged(&st.header, partSuffix)))
}

// strike is what is held against a snapshot.
type strike struct {
	id    ID
	count int
	// refused counts how often it was offered since it is out.
	refused int
	err     error
}

// strikes adds one against h and returns the error to go on with: cause, or that h is out. P36: two in a row.
func (g *group) strikes(h *Header, cause error) error {
	i := slices.IndexFunc(g.struck, func(s strike) bool { return s.id == h.ID })
	if i < 0 {
		if len(g.struck) == maxStruck {
			g.struck = slices.Delete(g.struck, 0, 1)
		}
		g.struck, i = append(g.struck, strike{id: h.ID}), len(g.struck)
	}
	g.struck[i].count++
	g.struck[i].err = cause
	if err := g.quarantined(h); err != nil {
		return err
	}
	return cause
}

// quarantined returns a *QuarantinedError if h has had its strikes.
func (g *group) quarantined(h *Header) error {
	for _, s := range g.struck {
		if s.id == h.ID && s.count > strikesAllowed {
			return &QuarantinedError{Header: *h, Err: s.err}
		}
	}
	return nil
}

// refuses is quarantined for one that is offered. Who cannot make another one offers it for ever: its group may commit nothing until this
// very node has caught up. So it is given another chance now and then, with one strike less to go.
func (g *group) refuses(h *Header) error {
	i := slices.IndexFunc(g.struck, func(s strike) bool { return s.id == h.ID })
	if err := g.quarantined(h); err == nil || g.struck[i].refused < refusalsToChance {
		if err != nil {
			g.struck[i].refused++
		}
		return err
	}
	g.struck[i].count, g.struck[i].refused = strikesAllowed, 0
	return nil
}

// clears forgets what was held against h.
func (g *group) clears(h *Header) {
	g.struck = slices.DeleteFunc(g.struck, func(s strike) bool { return s.id == h.ID })
}

// verify reads a staged file of h to its end.
func verify(part File, h *Header) error {
	if mutant.Is(mutant.AdoptUnverified) {
		return nil
	}
	got, err := Verify(io.NewSectionReader(part, 0, h.FileSize()+1)) // one more: nothing must follow
	if err == nil && !got.equal(h) {
		err = corrupt("header", 0, errPlace)
	}
	return err
}
