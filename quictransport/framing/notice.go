package framing

import "flotilla/raft/wire"

// NoticeKind is what a notice on the control lane says.
type NoticeKind uint8

// The notices.
const (
	// NoticeRefused: frame Seq of Lane was refused by the fence; the stamp of this frame carries the epoch to observe.
	NoticeRefused NoticeKind = 1
	// NoticeGoodbye: the sender is closing down on purpose and waits for this side to close the connection.
	NoticeGoodbye NoticeKind = 2
)

// Notice is what a node says to a node, apart from any group.
type Notice struct {
	Kind  NoticeKind
	Lane  Lane
	Index uint8
	// Seq numbers the frames of one lane stream from 1.
	Seq uint64
}

// appendNotice appends a whole frame without elements that carries n.
func appendNotice(dst []byte, n Notice) []byte {
	at := len(dst)
	dst = appendHead(dst)
	dst[at+LengthBytes] = codeArray4
	dst = wire.AppendArray(dst, 4)
	dst = wire.AppendUint(dst, uint64(n.Kind))
	dst = wire.AppendUint(dst, uint64(n.Lane))
	dst = wire.AppendUint(dst, uint64(n.Index))
	return wire.AppendUint(dst, n.Seq)
}

// ReadNotice reads what appendNotice appends after the elements. Kinds of a later version are returned as they are.
func ReadNotice(r *wire.Reader) Notice {
	r.Array(4)
	return Notice{
		Kind:  NoticeKind(r.UintMax(0xff)),
		Lane:  Lane(r.UintMax(0xff)),
		Index: uint8(r.UintMax(0xff)),
		Seq:   r.Uint(),
	}
}
