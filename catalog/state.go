package catalog

import (
	"fmt"

	"flotilla/epoch"
	"flotilla/raft/wire"
)

// stateRecords returns the records of s in the present format.
func stateRecords(s *Snapshot) records {
	r := records{keyFormat: wire.AppendUint(nil, s.Format)}
	if !s.Born {
		return r
	}
	r[keyIdentity] = appendIdentity(nil, s)
	r[keyNode] = wire.AppendUint(wire.AppendArray(nil, 1), uint64(s.Incarnation))
	r[keySettings] = appendSettings(nil, s)
	r[keyTopology] = appendTopology(nil, s)
	r[keyGroups] = appendGroups(nil, s)
	r[keyRouting] = appendRouting(nil, s)
	r[keyProgress] = appendProgress(nil, s)
	r[keyTokens] = appendTokens(nil, s)
	r[keyImports] = appendImports(nil, s)
	return r
}

// parseState reads the records of the present format and validates the whole.
func parseState(r records) (*Snapshot, error) {
	s, err := understand(r)
	if err == nil && s.Born {
		if err := s.validate(); err != nil {
			return nil, &CorruptionError{Reason: "it makes no sense", Cause: err}
		}
	}
	return s, err
}

// understand reads the records of the present format.
func understand(r records) (*Snapshot, error) {
	s := &Snapshot{}
	parts := []struct {
		key  string
		read func(*wire.Reader, *Snapshot)
	}{
		{keyFormat, func(r *wire.Reader, s *Snapshot) { s.Format = r.Uint() }},
		{keyIdentity, readIdentity},
		{keyNode, readNode},
		{keySettings, readSettings},
		{keyTopology, readTopology},
		{keyGroups, readGroups},
		{keyRouting, readRouting},
		{keyProgress, readProgress},
		{keyTokens, readTokens},
		{keyImports, readImports},
	}
	if _, born := r[keyIdentity]; !born {
		parts = parts[:1]
	}
	if len(r) != len(parts) {
		return nil, &CorruptionError{Reason: fmt.Sprintf("it holds %d records, want %d", len(r), len(parts))}
	}
	for _, part := range parts {
		rd := wire.NewReader(r[part.key])
		part.read(rd, s)
		if err := rd.Done(); err != nil {
			return nil, &CorruptionError{Key: part.key, Reason: "it cannot be understood", Cause: err}
		}
	}
	s.Born = len(parts) > 1
	return s, nil
}

func appendIdentity(b []byte, s *Snapshot) []byte {
	b = wire.AppendArray(b, 4)
	b = wire.AppendBytes(b, s.Identity.ClusterID[:])
	b = wire.AppendString(b, s.Identity.ClusterName)
	b = wire.AppendUint(b, uint64(s.Identity.NodeID))
	return wire.AppendUint(b, uint64(s.Identity.Generation))
}

func readIdentity(r *wire.Reader, s *Snapshot) {
	r.Array(4)
	if n := copy(s.Identity.ClusterID[:], r.Bytes()); n != len(s.Identity.ClusterID) {
		r.Fail("cluster id", wire.ErrInvalid)
	}
	s.Identity.ClusterName = r.String(maxText)
	s.Identity.NodeID = wire.NodeID(r.UintMax(uint64(wire.MaxNodeID)))
	s.Identity.Generation = wire.Generation(r.Uint())
}

func readNode(r *wire.Reader, s *Snapshot) {
	r.Array(1)
	s.Incarnation = wire.Incarnation(r.UintMax(wire.MaxNumber))
}

func appendSettings(b []byte, s *Snapshot) []byte {
	b = wire.AppendUint(wire.AppendArray(b, 2), s.Settings.Groups)
	return wire.AppendUint(b, s.Settings.Replication)
}

func readSettings(r *wire.Reader, s *Snapshot) {
	r.Array(2)
	s.Settings = Settings{Groups: r.Uint(), Replication: r.Uint()}
}

func appendTopology(b []byte, s *Snapshot) []byte {
	b = wire.AppendUint(wire.AppendArray(b, 2), s.Topology.Version)
	b = wire.AppendArray(b, len(s.Topology.Nodes))
	for _, n := range s.Topology.Nodes {
		b = wire.AppendUint(wire.AppendArray(b, 6), uint64(n.ID))
		b = wire.AppendString(wire.AppendString(b, n.Addr), n.HTTP)
		b = wire.AppendUint(b, uint64(n.Generation))
		b = wire.AppendString(wire.AppendUint(b, uint64(n.State)), n.Version)
	}
	return b
}

func readTopology(r *wire.Reader, s *Snapshot) {
	r.Array(2)
	s.Topology.Version = r.UintMax(wire.MaxNumber)
	for range r.ArrayLen(maxNodes) {
		r.Array(6)
		n := Node{
			ID: wire.NodeID(r.Uint()), Addr: r.String(maxText), HTTP: r.String(maxText),
			Generation: wire.Generation(r.Uint()), State: NodeState(r.UintMax(0xff)), Version: r.String(maxVersion),
		}
		if r.Err() != nil {
			return
		}
		s.Topology.Nodes = append(s.Topology.Nodes, n)
	}
}

func appendGroups(b []byte, s *Snapshot) []byte {
	b = wire.AppendArray(b, len(s.Groups))
	for i := range s.Groups {
		b = appendGroup(b, &s.Groups[i])
	}
	return b
}

func readGroups(r *wire.Reader, s *Snapshot) {
	for range r.ArrayLen(maxGroups) {
		g := readGroup(r)
		if r.Err() != nil {
			return
		}
		s.Groups = append(s.Groups, g)
	}
}

func appendRouting(b []byte, s *Snapshot) []byte {
	b = wire.AppendUint(wire.AppendArray(b, 2), s.Routing.Version)
	b = wire.AppendArray(b, wire.Shards)
	for _, g := range s.Routing.Shards {
		b = wire.AppendUint(b, uint64(g))
	}
	return b
}

func readRouting(r *wire.Reader, s *Snapshot) {
	r.Array(2)
	s.Routing.Version = r.UintMax(wire.MaxNumber)
	r.Array(wire.Shards)
	for i := range s.Routing.Shards {
		s.Routing.Shards[i] = wire.GroupID(r.Uint())
	}
}

func appendProgress(b []byte, s *Snapshot) []byte {
	b = wire.AppendUint(wire.AppendArray(b, 3), uint64(s.Epoch))
	b = wire.AppendUint(b, uint64(s.EpochTerm))
	return wire.AppendUint(b, uint64(s.Applied))
}

func readProgress(r *wire.Reader, s *Snapshot) {
	r.Array(3)
	s.Epoch = epoch.Epoch(r.UintMax(wire.MaxNumber))
	s.EpochTerm = wire.Term(r.UintMax(wire.MaxNumber))
	s.Applied = wire.Index(r.UintMax(wire.MaxNumber))
}
