package catalog

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"flotilla/raft/wire"
)

var (
	// sharedRecords are those of group 0's state, which snapshots hold, sorted; ownRecords are this node's own.
	sharedRecords = []string{keyGroups, keyImports, keyProgress, keyRouting, keySettings, keyTokens, keyTopology}
	ownRecords    = []string{keyIdentity, keyNode}
)

// stateName is what errors call a state that comes from a snapshot.
const stateName = "group 0's state in a snapshot"

// WriteState writes group 0's part of s but for the applied index, as a snapshot of group 0 holds it: docs/format.md, "group 0's
// state". The snapshot's own index says what is applied; in here, it would differ between nodes by how each counts entries that
// are no commands. It is of the oldest format that can say it, and equal states are equal bytes.
func (s *Snapshot) WriteState(w io.Writer) (int64, error) {
	shared := *s
	shared.Born, shared.Applied = true, 0
	all := stateRecords(&shared)
	version, keys := formatImports, sharedRecords
	if len(s.Imports) == 0 { // as an older program reads it, too: a rolling upgrade may find one far behind
		version, keys = formatImports-1, slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return key == keyImports })
	}
	b := wire.AppendUint(wire.AppendArray(nil, 1+2*len(keys)), uint64(version))
	for _, key := range keys {
		b = wire.AppendBytes(wire.AppendString(b, key), all[key])
	}
	if len(b) > MaxState {
		return 0, fmt.Errorf("the state of group 0 has %d bytes, a snapshot of it %d at most", len(b), MaxState)
	}
	n, err := w.Write(b)
	return int64(n), err
}

// Restore replaces group 0's state by the one that state holds, of all entries up to and including at, together with the applied
// index and in one transaction (P22, D2); this node's identity and incarnation stay. It refuses what is not ahead of the present
// state with ErrOlder, a newer version's with a *FormatError, and whatever birth would have refused. Any error but
// ErrFenced, after which the outcome is unknown, leaves everything as it was.
func (c *Catalog) Restore(at wire.Index, state io.Reader) error {
	r, err := readState(state)
	if err != nil {
		return fmt.Errorf("restore metadata as of %d: %w", at, err)
	}
	return c.change("restore metadata", func(was Snapshot) (Snapshot, error) {
		if !was.Born {
			return was, ErrUnborn
		}
		return was.restored(at, r, c.opts.formats)
	})
}

// Restored returns what Catalog.Restore makes of s, which stays as it is: the state machine of group 0 without the file, as After is.
func (s *Snapshot) Restored(at wire.Index, state io.Reader) (Snapshot, error) {
	r, err := readState(state)
	if err != nil {
		return *s, fmt.Errorf("restore metadata as of %d: %w", at, err)
	}
	return s.restored(at, r, ledger)
}

// ReadState reads what WriteState wrote, of whatever format, as of index at, and validates it. It is nobody's: Born is false and there is
// no Identity. Errors: *FormatError for a newer version's, *CorruptionError, state's.
func ReadState(at wire.Index, state io.Reader) (*Snapshot, error) {
	all, err := readState(state)
	if err != nil {
		return nil, err
	}
	nobody := Snapshot{Born: true}
	own := stateRecords(&nobody)
	for _, key := range ownRecords {
		all[key] = own[key]
	}
	if all, err = migrate(all, ledger); err != nil {
		return nil, named(err, stateName)
	}
	s, err := understand(all)
	if err != nil {
		return nil, named(err, stateName)
	}
	if err := s.validateShared(); err != nil {
		return nil, named(&CorruptionError{Reason: "it makes no sense", Cause: err}, stateName)
	}
	s.Born, s.Identity, s.Incarnation, s.Applied = false, Identity{}, 0, at
	return s, nil
}

// readState reads what WriteState wrote, of whatever format.
func readState(state io.Reader) (records, error) {
	b, err := io.ReadAll(io.LimitReader(state, MaxState+1))
	if err != nil {
		return nil, err
	}
	r := wire.NewReader(b)
	if len(b) > MaxState {
		r.Fail("state of group 0", wire.ErrLimit)
	}
	n, all, last := r.ArrayLen(1+2*maxRecords), records{}, ""
	all[keyFormat] = wire.AppendUint(nil, r.Uint())
	for range (n - 1) / 2 {
		key, body := r.String(maxText), r.Bytes()
		if key <= last || key == keyFormat || slices.Contains(ownRecords, key) {
			r.Fail(fmt.Sprintf("record %q", key), wire.ErrInvalid)
		}
		last, all[key] = key, body
	}
	if n%2 == 0 {
		r.Fail("records", wire.ErrInvalid)
	}
	return all, r.Done()
}

// restored takes group 0's records of any format. Migrations see that this node's own records are there, and no more of them.
func (s *Snapshot) restored(at wire.Index, shared records, formats []format) (Snapshot, error) {
	own, all := stateRecords(s), maps.Clone(shared)
	for _, key := range ownRecords {
		all[key] = own[key]
	}
	all, err := migrate(all, formats)
	if err != nil {
		return *s, named(err, stateName)
	}
	for _, key := range ownRecords {
		all[key] = own[key]
	}
	next, err := parseState(all)
	if err != nil {
		return *s, named(err, stateName)
	}
	next.Format, next.Applied = s.Format, at
	if err := next.ahead(s); err != nil {
		return *s, err
	}
	return *next, nil
}

// ahead returns nil if s may take was's place.
func (s *Snapshot) ahead(was *Snapshot) error {
	if s.Settings != was.Settings {
		return fmt.Errorf("it is another cluster's: %d groups of %d replicas instead of %d of %d",
			s.Settings.Groups, s.Settings.Replication, was.Settings.Groups, was.Settings.Replication)
	}
	if s.Applied <= was.Applied || s.Epoch < was.Epoch || s.EpochTerm < was.EpochTerm ||
		s.Topology.Version < was.Topology.Version || s.Routing.Version < was.Routing.Version {
		return fmt.Errorf("%w: applied %d, epoch %d of term %d, topology %d, routing %d; here %d, %d of %d, %d, %d", ErrOlder,
			s.Applied, s.Epoch, s.EpochTerm, s.Topology.Version, s.Routing.Version,
			was.Applied, was.Epoch, was.EpochTerm, was.Topology.Version, was.Routing.Version)
	}
	return nil
}
