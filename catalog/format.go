package catalog

import (
	"fmt"
	"maps"

	"flotilla/raft/wire"
)

// A format is one version of the file's records. Formats are numbered from 1 without gaps, and a version of
// flotilla that meets an older one brings the records up to date step by step, in one transaction.
type format struct {
	// name says what came with it.
	name string
	// migrate turns the records of the format before into this one's. It changes nothing it is given, and
	// does not touch keyFormat. The first format has none.
	migrate func(records) (records, error)
}

// ledger is the history of formats: ledger[i] is format i+1. Entries are only ever added at the end, and
// none is changed once released.
var ledger = []format{
	{name: "identity, node, settings, topology, groups, routing, progress, seal"},
	{name: "groups with kind, origin, members; tokens", migrate: placedGroups},
	{name: "imports", migrate: noImports},
}

// formatImports is the format that brought imports, the newest.
const formatImports = 3

// formatOf returns the format of r. It is the only record read before the format is known to be ours, so
// its body never changes: one uint.
func formatOf(r records) (uint64, error) {
	rd := wire.NewReader(r[keyFormat])
	v := rd.Uint()
	if err := rd.Done(); err != nil || v == 0 {
		return 0, &CorruptionError{Key: keyFormat, Reason: fmt.Sprintf("format %d", v), Cause: err}
	}
	return v, nil
}

// migrate brings r up to the newest format of formats. It returns r itself if it is there already.
func migrate(r records, formats []format) (records, error) {
	found, err := formatOf(r)
	if err != nil {
		return nil, err
	}
	newest := uint64(len(formats))
	if found > newest {
		return nil, &FormatError{Found: found, Known: newest}
	}
	for v := found; v < newest; v++ {
		if r, err = formats[v].migrate(r); err != nil {
			return nil, fmt.Errorf("migrate catalog from format %d to %d (%s): %w", v, v+1, formats[v].name, err)
		}
		r[keyFormat] = wire.AppendUint(nil, v+1)
	}
	return r, nil
}

// placedGroups brings groups up to format 2: until then memberships never changed, so that what was wanted was what was in
// effect, from the beginning.
func placedGroups(r records) (records, error) {
	out := maps.Clone(r)
	if _, born := r[keyIdentity]; !born {
		return out, nil
	}
	old, now := wire.NewReader(r[keyGroups]), Snapshot{}
	for range old.ArrayLen(maxGroups) {
		g := readListedGroup(old)
		if old.Err() != nil {
			break
		}
		now.Groups = append(now.Groups, g.Founded())
	}
	if err := old.Done(); err != nil {
		return nil, &CorruptionError{Key: keyGroups, Reason: "it cannot be understood", Cause: err}
	}
	out[keyGroups], out[keyTokens] = appendGroups(nil, &now), appendTokens(nil, &now)
	return out, nil
}

// noImports brings records up to format 3: before it nothing was imported.
func noImports(r records) (records, error) {
	out := maps.Clone(r)
	if _, born := r[keyIdentity]; born {
		out[keyImports] = appendImports(nil, &Snapshot{})
	}
	return out, nil
}
