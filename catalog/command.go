package catalog

import (
	"errors"
	"fmt"

	"flotilla/raft/wire"
)

// commandVersion is the first value of every command. Fields are never added to a kind: a new kind is.
const commandVersion = 1

// errUnknownCommand says that a command is of a kind or version that this version of flotilla does not know.
var errUnknownCommand = errors.New("unknown command")

// The kinds of commands. Values never change, and are never used again.
const (
	kindEpochBump    = 1
	kindRegisterNode = 2
	kindListNode     = 3
	kindSetNodeState = 4
	kindPutGroup     = 5
	kindAssignShards = 6

	kindAdmitNode     = 7
	kindCreateGroup   = 8
	kindDeleteGroup   = 9
	kindPlaceGroup    = 10
	kindReportMembers = 11
	kindMoveNode      = 12
	kindPutToken      = 13
	kindSpendToken    = 14
	kindReplicaEnded  = 15
	kindReplicaBroken = 16
	kindReplaceNode   = 17
	kindBeginImport   = 18
	kindEndImport     = 19

	maxKindOfChange = kindEndImport
)

// Change is one metadata command, a type of this package.
type Change interface {
	// Append appends the command's encoding [version, kind, fields...].
	Append(dst []byte) []byte
	// apply changes s, replacing slices rather than writing to them. It is deterministic, and decides by s
	// and the entry's term alone.
	apply(s *Snapshot, term wire.Term) Result
}

// EpochBump counts one acquisition of leadership of group 0 (P20). The new leader proposes it with its
// term. Result.Value is the epoch after it.
type EpochBump struct{ Term wire.Term }

// RegisterNode tells that a listed node runs from the data directory with Generation, where it is found, and which
// Version of its program it runs (ValidVersion; for people to see, nothing is decided by it). The
// first generation of a node wins; another one is refused (N8, D17). Result.Value is the generation that holds.
type RegisterNode struct {
	ID         wire.NodeID
	Generation wire.Generation
	Addr, HTTP string
	Version    string
}

// ListNode adds a node to the topology, which then may register. Result.Value is the topology's version.
type ListNode struct {
	ID   wire.NodeID
	Addr string
}

// SetNodeState drains a node, ends its drain, or removes it for good. IfVersion, when not 0, is the topology
// version it was decided on; it is refused on another. Result.Value is the topology's version.
type SetNodeState struct {
	ID        wire.NodeID
	State     NodeState
	IfVersion uint64
}

// PutGroup adds a group to the table or says anew where it is wanted. IfVersion is as in SetNodeState. Result.Value is
// the topology's version, which covers the group table too. It is of format 1: CreateGroup and PlaceGroup say more.
type PutGroup struct {
	Group     Group
	IfVersion uint64
}

// Claim gives the shards [From, To) to Group.
type Claim struct {
	From, To wire.Shard
	Group    wire.GroupID
}

// AssignShards moves shards to data groups of the table. IfVersion, when not 0, is the routing version it was
// decided on. Result.Value is the routing's version.
type AssignShards struct {
	Claims    []Claim
	IfVersion uint64
}

func header(dst []byte, fields int, kind uint64) []byte {
	return wire.AppendUint(wire.AppendUint(wire.AppendArray(dst, 2+fields), commandVersion), kind)
}

// Append implements Change.
func (c EpochBump) Append(dst []byte) []byte {
	return wire.AppendUint(header(dst, 1, kindEpochBump), uint64(c.Term))
}

// Append implements Change.
func (c RegisterNode) Append(dst []byte) []byte {
	dst = wire.AppendUint(header(dst, 5, kindRegisterNode), uint64(c.ID))
	dst = wire.AppendUint(dst, uint64(c.Generation))
	return wire.AppendString(wire.AppendString(wire.AppendString(dst, c.Addr), c.HTTP), c.Version)
}

// Append implements Change.
func (c ListNode) Append(dst []byte) []byte {
	return wire.AppendString(wire.AppendUint(header(dst, 2, kindListNode), uint64(c.ID)), c.Addr)
}

// Append implements Change.
func (c SetNodeState) Append(dst []byte) []byte {
	dst = wire.AppendUint(header(dst, 3, kindSetNodeState), uint64(c.ID))
	return wire.AppendUint(wire.AppendUint(dst, uint64(c.State)), c.IfVersion)
}

// Append implements Change.
func (c PutGroup) Append(dst []byte) []byte {
	return wire.AppendUint(appendListedGroup(header(dst, 2, kindPutGroup), &c.Group), c.IfVersion)
}

// Append implements Change.
func (c AssignShards) Append(dst []byte) []byte {
	dst = wire.AppendArray(header(dst, 2, kindAssignShards), len(c.Claims))
	for _, x := range c.Claims {
		dst = wire.AppendUint(wire.AppendArray(dst, 3), uint64(x.From))
		dst = wire.AppendUint(wire.AppendUint(dst, uint64(x.To)), uint64(x.Group))
	}
	return wire.AppendUint(dst, c.IfVersion)
}

// Encode returns c's encoding, or why no node would understand it. What is committed cannot be taken back, so
// proposers encode with it, and whoever takes a command from elsewhere tries ParseChange before proposing it.
func Encode(c Change) ([]byte, error) {
	b := c.Append(nil)
	if _, err := ParseChange(b); err != nil {
		return nil, fmt.Errorf("encode %T: %w", c, err)
	}
	return b, nil
}

// VetChange refuses what is no command of group 0, most likely one that an application meant for a group of its own.
func VetChange(command []byte) error {
	if _, err := ParseChange(command); err != nil {
		return fmt.Errorf("group 0 is the cluster's own, data groups begin at 1: %w", err)
	}
	return nil
}

// ParseChange reads what Append appends. Whatever it cannot read is an error: skipping it would make
// replicas differ (F17).
func ParseChange(b []byte) (Change, error) {
	r := wire.NewReader(b)
	fields := r.ArrayLen(maxText)
	version, kind := r.Uint(), r.Uint()
	if r.Err() == nil && (version != commandVersion || kind == 0 || kind > maxKindOfChange) {
		return nil, fmt.Errorf("%w: version %d, kind %d", errUnknownCommand, version, kind)
	}
	change, want := readChange(r, kind)
	if err := r.Done(); err != nil {
		return nil, err
	}
	if fields != 2+want {
		return nil, fmt.Errorf("%w: kind %d with %d fields", errUnknownCommand, kind, fields)
	}
	return change, nil
}

// readChange reads the fields of a kind and returns how many they are.
func readChange(r *wire.Reader, kind uint64) (Change, int) {
	node := func() wire.NodeID { return wire.NodeID(r.UintMax(uint64(wire.MaxNodeID))) }
	switch kind {
	case kindEpochBump:
		return EpochBump{Term: wire.Term(r.UintMax(wire.MaxNumber))}, 1
	case kindRegisterNode:
		return RegisterNode{
			ID: node(), Generation: wire.Generation(r.Uint()),
			Addr: r.String(wire.MaxEntryData), HTTP: r.String(wire.MaxEntryData), Version: r.String(wire.MaxEntryData),
		}, 5
	case kindListNode:
		return ListNode{ID: node(), Addr: r.String(wire.MaxEntryData)}, 2
	case kindSetNodeState:
		return SetNodeState{ID: node(), State: NodeState(r.UintMax(0xff)), IfVersion: r.Uint()}, 3
	case kindPutGroup:
		return PutGroup{Group: readListedGroup(r), IfVersion: r.Uint()}, 2
	case kindAssignShards:
		return AssignShards{Claims: readClaims(r), IfVersion: r.Uint()}, 2
	}
	return readPlacement(r, kind)
}

func readClaims(r *wire.Reader) []Claim {
	var claims []Claim
	for range r.ArrayLen(maxClaims) {
		r.Array(3)
		c := Claim{
			From: wire.Shard(r.UintMax(wire.Shards)), To: wire.Shard(r.UintMax(wire.Shards)),
			Group: wire.GroupID(r.UintMax(wire.MaxNumber)),
		}
		if r.Err() != nil {
			return nil
		}
		claims = append(claims, c)
	}
	return claims
}
