package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"flotilla/raft/logstore/boltfile"
	"flotilla/raft/wire"
)

// replay reads the generations from the oldest to the newest and builds the index. Where a generation begins, its
// state records are compared with what its predecessors came to: the two were written independently, so a
// blob that vanished with its page is seen there, group by group.
//
// Damage makes groups suspect: at once those it names, every group when it names none. The next generation's state
// records tell what a suspect group's log must be; what is missing of that is a hole, unless compaction
// or a copy closes it later. Suspects and holes left at the end are quarantined.
type replay struct {
	fs     fileSystem
	groups map[wire.GroupID]*group
	counts spanCounts
	gens   []*generation
	// next is the sequence expected next; 0 before the first generation.
	next  uint64
	blobs uint64

	suspects   map[wire.GroupID]*CorruptionError
	allSuspect *CorruptionError
	// causes remembers why a hole may be there.
	causes   map[wire.GroupID]*CorruptionError
	anyCause *CorruptionError

	// empty are files that were prepared and never begun; broken ones cannot be read at all.
	empty  []string
	broken *CorruptionError
	newly  bool // a group is in quarantine that was not before
	found  func(Corrupted)
	// pace, when not nil, is told of the bytes of each blob, and takes its time. Its error ends the replay.
	pace func(n int) error
}

func newReplay(fs fileSystem, found func(Corrupted)) *replay {
	return &replay{
		fs: fs, groups: map[wire.GroupID]*group{}, counts: spanCounts{}, found: found,
		suspects: map[wire.GroupID]*CorruptionError{}, causes: map[wire.GroupID]*CorruptionError{},
	}
}

// file replays one generation. Errors are those of the disk, and *FormatError.
func (r *replay) file(num uint32, path string) error {
	p, err := openSealed(r.fs, path)
	var damage *CorruptionError
	if errors.As(err, &damage) {
		r.broken = damage
		r.suspectAll(damage)
		return nil
	}
	if err != nil {
		return err
	}
	if p.LastTx() <= preparedTx && !p.LostMeta() {
		r.empty = append(r.empty, path)
		return p.Close()
	}
	gen := &generation{num: num, path: path, bytes: p.Bytes(), source: newSource(nil, p)}
	if placed, err := r.content(gen, p); err != nil || !placed {
		return errors.Join(err, p.Close())
	}
	return nil
}

// content replays gen, which is in p, and reports whether it could be placed behind the one before.
func (r *replay) content(gen *generation, p *sealed) (placed bool, err error) {
	records, mark, err := r.stateIn(gen, p)
	if err != nil {
		return false, err
	}
	m, err := r.begin(gen, mark, records)
	if m == nil || err != nil {
		return false, err
	}
	return true, r.journal(gen, p, m)
}

func (r *replay) journal(gen *generation, p *sealed, m *marker) error {
	p.expect(m.base, m.tx)
	root, ok, err := p.Bucket(bucketJournal)
	if err = r.absorb(err); err != nil {
		return err
	}
	want := m.base + p.LastTx() - m.tx + 1
	if ok {
		w := boltfile.Walker{Own: blobKey, Bad: r.lost, Use: func(k, v []byte, at boltfile.Place) error {
			p.note(k, at)
			return r.blob(gen, want, k, v)
		}}
		if err := w.Walk(root); err != nil {
			return err
		}
	}
	r.end(gen, want)
	if p.LostMeta() {
		r.suspectAll(p.damage("meta", "one meta page is invalid, the last commit may be missing"))
	}
	return nil
}

// end notes that the journal of gen goes up to want, which is the next one's.
func (r *replay) end(gen *generation, want uint64) {
	if r.next != want {
		r.suspectAll(&CorruptionError{File: gen.path, Key: journalKey(r.next), Detail: fmt.Sprintf("journal should go up to %d", want-1)})
		r.next = want
	}
}

// absorb turns damage into suspicion of all groups and passes on every other error.
func (r *replay) absorb(err error) error {
	var damage *CorruptionError
	if errors.As(corruption(err), &damage) {
		r.suspectAll(damage)
		return nil
	}
	return err
}

func (r *replay) lost(d *boltfile.Damage) error { return r.absorb(d) }

func (r *replay) suspectAll(damage *CorruptionError) {
	r.found(Corrupted{Err: damage})
	if r.allSuspect == nil {
		r.allSuspect, r.anyCause = damage, damage
	}
}

func (r *replay) suspect(id wire.GroupID, damage *CorruptionError) {
	damage.Groups = []wire.GroupID{id}
	r.found(Corrupted{Err: damage})
	if r.suspects[id] == nil {
		r.suspects[id], r.causes[id] = damage, damage
	}
}

// stateIn reads the state records of gen and its marker. A marker that is missing is nil, damage to others is told.
func (r *replay) stateIn(gen *generation, p *sealed) (records map[wire.GroupID][]byte, mark []byte, err error) {
	records = map[wire.GroupID][]byte{}
	root, ok, err := p.Bucket(bucketState)
	if err = r.absorb(err); err != nil || !ok {
		return records, nil, err
	}
	w := boltfile.Walker{Own: blobKey, Use: func(k, v []byte, _ boltfile.Place) error {
		if string(k) == string(markerKey) {
			mark = slices.Clone(v)
		} else if id, is := groupOf(k); is {
			records[id] = slices.Clone(v)
		}
		return nil
	}, Bad: func(d *boltfile.Damage) error { // the records say what is missing
		r.found(Corrupted{Err: &CorruptionError{File: gen.path, Key: d.Key, Detail: d.Detail}})
		return nil
	}}
	return records, mark, w.Walk(root)
}

// begin begins gen, whose state records and marker are given, and brings the index in line with them. It returns nil without
// a readable marker: what follows cannot be placed.
func (r *replay) begin(gen *generation, mark []byte, records map[wire.GroupID][]byte) (*marker, error) {
	m, bad := decodeMarker(mark, gen.num)
	switch {
	case bad != nil:
		r.suspectAll(&CorruptionError{File: gen.path, Key: "s/marker", Want: bad.want, Got: bad.got, Detail: bad.what})
		r.broken = r.allSuspect
		return nil, nil
	case m.version != stateVersion:
		return nil, &FormatError{File: gen.path, Detail: fmt.Sprintf("format %d; this version reads %d", m.version, stateVersion)}
	}
	if r.next != 0 && r.next != m.base && r.anyCause == nil {
		// An unlinked file that came back, or a lost end: either way the records below decide.
		r.allSuspect = &CorruptionError{File: gen.path, Key: journalKey(r.next), Detail: fmt.Sprintf("journal goes on at %d", m.base)}
		r.anyCause = r.allSuspect
	}
	r.align(gen, &m, records)
	r.next, r.broken = m.base, nil
	r.gens = append(r.gens, gen)
	return &m, nil
}

// align makes the groups what the state records say.
func (r *replay) align(gen *generation, m *marker, records map[wire.GroupID][]byte) {
	oldest := r.next == 0 && len(r.gens) == 0
	for _, id := range m.groups {
		g := r.groups[id]
		rec, bad := decodeGroupRecord(records[id], gen.num, id)
		if bad != nil {
			damage := &CorruptionError{File: gen.path, Key: fmt.Sprintf("s/%d", id), Want: bad.want, Got: bad.got, Detail: bad.what}
			if g == nil {
				r.groups[id] = newGroup(id, wire.Membership{})
				r.suspect(id, damage)
			} else {
				damage.Groups = []wire.GroupID{id}
				r.found(Corrupted{Err: damage, Harmless: r.trusted(id)})
			}
			continue
		}
		if g == nil {
			g = newGroup(id, wire.Membership{})
			r.groups[id] = g
		} else if !oldest && r.trusted(id) && !agrees(g, &rec) {
			r.suspect(id, &CorruptionError{
				File: gen.path, Key: fmt.Sprintf("s/%d", id),
				Detail: "the state differs from what the generations before came to",
			})
		}
		g.reconcile(&rec, r.counts)
		delete(r.suspects, id)
	}
	for id, g := range r.groups {
		if _, ok := slices.BinarySearch(m.groups, id); !ok {
			g.drop(r.counts)
			delete(r.groups, id)
			delete(r.suspects, id)
		}
	}
	r.allSuspect = nil
}

// trusted says that nothing seen so far concerns group id.
func (r *replay) trusted(id wire.GroupID) bool { return r.allSuspect == nil && r.suspects[id] == nil }

// agrees compares what replay came to with a state record. Damage may have been found while the store was open, so a replay need
// not come to a quarantine.
func agrees(g *group, rec *groupRecord) bool {
	a, b := g.state(), rec.state
	return rec.reason != "" || a.HardState == b.HardState && a.First == b.First &&
		a.Last == b.Last && a.PrevTerm == b.PrevTerm && a.Membership.Equal(&b.Membership) &&
		slices.Equal(g.runs, rec.runs)
}

// reconcile makes g what rec says. Of its spans those entries stay that rec's log has too: index and term
// name an entry (log matching, thesis section 3.5).
func (g *group) reconcile(rec *groupRecord, counts spanCounts) {
	s := &rec.state
	lo, hi := s.First, s.Last+1
	if len(g.spans) > 0 {
		before := g.spans[0].first
		after := g.spans[len(g.spans)-1].end()
		if before < lo {
			g.cutSpans(before, min(lo, after), counts)
		}
		if after > hi {
			g.cutSpans(max(hi, before), after, counts)
		}
		if !slices.Equal(g.runs, rec.runs) {
			next := &group{id: g.id, first: s.First, last: s.Last, prevTerm: s.PrevTerm, runs: rec.runs}
			g.cutForeign(next, counts)
		}
	}
	g.hard, g.membership = s.HardState, s.Membership
	g.first, g.last, g.prevTerm, g.runs = s.First, s.Last, s.PrevTerm, rec.runs
	g.err = nil
	if rec.reason != "" {
		g.err = &QuarantineError{Group: g.id, Reason: rec.reason}
	}
}

// cutForeign takes out of the spans, all inside next's log, the entries whose term next has not.
func (g *group) cutForeign(next *group, counts spanCounts) {
	for _, s := range slices.Clone(g.spans) {
		for i := s.first; i < s.end(); i++ {
			if g.term(i) != next.term(i) {
				g.cutSpans(i, i+1, counts)
			}
		}
	}
}

// blob replays one key of the journal, whose keys end before end. One outside that range was never written: only its
// blob is lost, and those after it are read, as they may be the only ones that know of a group.
func (r *replay) blob(gen *generation, end uint64, key, value []byte) error {
	if r.pace != nil {
		if err := r.pace(len(value)); err != nil {
			return err
		}
	}
	var seq uint64
	if len(key) == 8 {
		seq = binary.BigEndian.Uint64(key)
	}
	if seq != r.next {
		r.suspectAll(&CorruptionError{
			File: gen.path, Key: journalKey(r.next),
			Detail: fmt.Sprintf("blob is missing, %d follows", seq),
		})
		if seq < r.next || seq >= end {
			return nil
		}
	}
	r.next = seq + 1
	r.blobs++
	gen.data += int64(len(value))
	for _, d := range readBlob(value, gen.num, seq, func(rec record) { r.record(gen, seq, &rec) }) {
		if d.version != 0 {
			return &FormatError{File: gen.path, Detail: fmt.Sprintf("%s; this version reads %d", d.what, blobVersion)}
		}
		damage := &CorruptionError{File: gen.path, Key: journalKey(seq), Want: d.want, Got: d.got, Detail: d.what}
		switch {
		case d.harmless:
			r.found(Corrupted{Err: damage, Harmless: true})
		case d.whole:
			r.suspectAll(damage)
		default:
			damage.Key += fmt.Sprintf(" group %d", d.group)
			r.suspect(d.group, damage)
			if r.groups[d.group] == nil {
				r.groups[d.group] = newGroup(d.group, wire.Membership{})
			}
		}
	}
	return nil
}

// record replays one verified record.
func (r *replay) record(gen *generation, seq uint64, rec *record) {
	u := &rec.update
	g := r.groups[u.Group]
	if rec.moved {
		if g != nil && g.err == nil {
			g.place(span{
				first: u.Entries[0].Index, seq: seq, gen: gen.num, count: uint32(len(u.Entries)),
				off: rec.off, bytes: sizeOf(u.Entries),
			}, r.counts)
		}
		return
	}
	if g == nil && !u.Create {
		g = newGroup(u.Group, wire.Membership{})
		r.groups[u.Group] = g
		r.suspect(u.Group, &CorruptionError{File: gen.path, Key: journalKey(seq), Detail: "record of a group never created"})
	}
	if u.Drop {
		g.drop(r.counts)
		delete(r.groups, u.Group)
		delete(r.suspects, u.Group)
		return
	}
	shape := Shape{}
	if g != nil {
		shape = ShapeOf(g.state())
	}
	if err := shape.Apply(u); err != nil {
		if g == nil || r.trusted(u.Group) && g.err == nil {
			r.suspect(u.Group, &CorruptionError{File: gen.path, Key: journalKey(seq), Detail: err.Error()})
		}
		return
	}
	if g == nil {
		g = newGroup(u.Group, u.Membership)
		r.groups[u.Group] = g
	}
	g.apply(rec, gen.num, seq, r.counts)
}

// close lets go of the files of a replay that was only to see.
func (r *replay) close() {
	for _, g := range r.gens {
		if g.source != nil {
			g.source.retire()
		}
	}
}

// finish quarantines the suspects and the groups with holes.
func (r *replay) finish() {
	for _, id := range slices.Sorted(maps.Keys(r.groups)) {
		g := r.groups[id]
		if g.err == nil {
			g.err = r.verdict(g)
			r.newly = r.newly || g.err != nil
		}
		if g.err != nil {
			g.drop(r.counts)
		}
	}
}

// verdict returns why g cannot be trusted, nil when it can.
func (r *replay) verdict(g *group) error {
	if damage := r.suspects[g.id]; damage != nil {
		return damage
	}
	if r.allSuspect != nil {
		return r.allSuspect
	}
	at, is := g.hole()
	if !is {
		return nil
	}
	damage := &CorruptionError{Key: "j", Groups: []wire.GroupID{g.id}}
	if len(r.gens) > 0 {
		damage.File = r.gens[0].path
	}
	if cause := cmpOr(r.causes[g.id], r.anyCause); cause != nil {
		c := *cause
		damage = &c
		damage.Groups = []wire.GroupID{g.id}
	}
	damage.Detail = fmt.Sprintf("group %d: entry %d is missing (%s)", g.id, at, damage.Detail)
	r.found(Corrupted{Err: damage})
	return damage
}

func cmpOr(a, b *CorruptionError) *CorruptionError {
	if a != nil {
		return a
	}
	return b
}
