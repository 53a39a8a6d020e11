package wire

import "strconv"

// NodeID identifies a node within its cluster. Range 1 to 2^63-1; 0 means "none".
type NodeID uint64

// NoNode is the NodeID of nobody: no leader known, no vote given.
const NoNode NodeID = 0

// MaxNodeID is the largest legal NodeID.
const MaxNodeID NodeID = 1<<63 - 1

// String returns the decimal form.
func (n NodeID) String() string { return strconv.FormatUint(uint64(n), 10) }

// GroupID identifies one Raft group. Group 0 is the metadata group.
type GroupID uint64

// MetadataGroup is the group whose log holds identity, settings, topology, routing and epoch.
const MetadataGroup GroupID = 0

// String returns the decimal form.
func (g GroupID) String() string { return strconv.FormatUint(uint64(g), 10) }

// Term is Raft's term (thesis section 3.3). The first election makes term 1.
type Term uint64

// Index is Raft's log index. The first entry of a log has index 1; 0 means "before the log".
type Index uint64

// Incarnation rises by one at each start of a node from the same data directory; the first start is 1.
type Incarnation uint64

// Generation is the random identity of a data directory, made with it (architecture section 9).
// 0 means "not known".
type Generation uint64

// ClusterID is the random identity of a cluster, made at bootstrap.
type ClusterID [16]byte

// String returns 32 lower-case hex digits.
func (c ClusterID) String() string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 2*len(c))
	for _, x := range c {
		b = append(b, digits[x>>4], digits[x&15])
	}
	return string(b)
}
