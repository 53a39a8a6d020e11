package protocol

import (
	"math"

	"flotilla/raft/wire"
)

// AdminOp is what an administrator asks of the cluster. Numbers never change.
type AdminOp uint8

// The operations. Which fields of Admin each uses is said beside it.
const (
	// OpAddNode makes Node known at Address before it joins.
	OpAddNode AdminOp = 1
	// OpRemoveNode takes Node out of the cluster, its replicas first; OpForceRemoveNode at once.
	OpRemoveNode      AdminOp = 2
	OpForceRemoveNode AdminOp = 3
	// OpDrainNode takes leaderships and replicas from Node, OpUndrainNode ends that.
	OpDrainNode   AdminOp = 4
	OpUndrainNode AdminOp = 5
	// OpMoveNode tells that Node is dialled at Address from now on.
	OpMoveNode AdminOp = 6
	// OpJoinToken makes a token, the reply's Text.
	OpJoinToken AdminOp = 7
	// OpCreateGroup makes a group of machine kind Text with Voters, none for the cluster's choice. The reply has its id in Group.
	OpCreateGroup AdminOp = 8
	// OpDeleteGroup ends Group for good.
	OpDeleteGroup AdminOp = 9
	// OpTransfer hands the leadership of Group to Node.
	OpTransfer AdminOp = 10

	maxAdminOp = OpTransfer
)

// Repeatable reports whether doing it twice does no harm, so that a try of unknown outcome may be repeated.
func (o AdminOp) Repeatable() bool { return o != OpJoinToken && o != OpCreateGroup }

// Admin is the part of a request of KindAdmin that says what is asked.
type Admin struct {
	Op     AdminOp
	Node   wire.NodeID
	Group  wire.GroupID
	Text   string
	Voters []wire.NodeID
}

func appendAdmin(dst []byte, a *Admin) []byte {
	dst = wire.AppendUint(wire.AppendUint(dst, uint64(a.Op)), uint64(a.Node))
	dst = wire.AppendString(wire.AppendUint(dst, uint64(a.Group)), cut(a.Text))
	return appendNodes(dst, a.Voters)
}

func readAdmin(r *wire.Reader) Admin {
	a := Admin{
		Op: AdminOp(r.UintMax(math.MaxUint8)), Node: wire.NodeID(r.UintMax(uint64(wire.MaxNodeID))),
		Group: wire.GroupID(r.UintMax(wire.MaxNumber)), Text: r.String(MaxTextBytes), Voters: readNodes(r),
	}
	if r.Err() == nil && (a.Op == 0 || a.Op > maxAdminOp) {
		r.Fail("operation", wire.ErrInvalid)
	}
	return a
}
