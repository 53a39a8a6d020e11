package protocol

import (
	"math"
	"time"

	"flotilla/raft/wire"
)

// Kind says what a Request asks or what a Reply holds.
type Kind uint8

// The kinds of requests. Numbers never change; 18 to 31 are reserved for members and groups. 0 is the hello.
const (
	KindPut          Kind = 1
	KindGet          Kind = 2
	KindDelete       Kind = 3
	KindScan         Kind = 4
	KindStatus       Kind = 5
	KindOpenSession  Kind = 6
	KindCloseSession Kind = 7
	KindRoutes       Kind = 8
	KindAdmin        Kind = 16
	// KindExport asks for the state of Group as a snapshot, which comes as ReplyExport after ReplyExport. Timeout means nothing: what
	// counts is that the client takes what comes.
	KindExport Kind = 17
)

// Request is one request of a client. Which fields a kind uses is said beside them.
type Request struct {
	Kind Kind
	// ID comes back in the reply. The client chooses it.
	ID uint64
	// Timeout is how long the client waits, in whole milliseconds on the wire. 0 means MaxTimeout.
	Timeout time.Duration
	// Group is the group the client believes the key to be in: writes with a session, scans, sessions. A write
	// whose key is routed elsewhere by now is refused, because its session lives in Group.
	Group wire.GroupID
	// Session, Sequence and Acked make a put or a delete happen exactly once; CloseSession uses Session.
	Session  SessionID
	Sequence Sequence
	Acked    Sequence
	// Require is the precondition of a put or a delete.
	Require Precondition
	// Consistency is that of a get or a scan.
	Consistency Consistency
	// Key is that of a put, get or delete, and the prefix of a scan.
	Key []byte
	// Value is that of a put.
	Value []byte
	// After and Limit page through a scan: keys after After, Limit at most, 0 for the server's choice.
	After []byte
	Limit int
	// Admin is what an administrator asks.
	Admin Admin
}

// AppendRequest appends the body of a frame with q.
func AppendRequest(dst []byte, q *Request) []byte {
	switch q.Kind {
	case KindPut:
		return wire.AppendBytes(appendWrite(appendHead(dst, 10, q), q), q.Value)
	case KindDelete:
		return appendWrite(appendHead(dst, 9, q), q)
	case KindGet:
		dst = wire.AppendUint(appendHead(dst, 5, q), uint64(q.Consistency))
		return wire.AppendBytes(dst, q.Key)
	case KindScan:
		dst = wire.AppendUint(appendHead(dst, 8, q), uint64(q.Group))
		dst = wire.AppendUint(dst, uint64(q.Consistency))
		dst = wire.AppendBytes(wire.AppendBytes(dst, q.Key), q.After)
		return wire.AppendUint(dst, uint64(max(q.Limit, 0)))
	case KindOpenSession, KindExport:
		return wire.AppendUint(appendHead(dst, 4, q), uint64(q.Group))
	case KindCloseSession:
		dst = wire.AppendUint(appendHead(dst, 5, q), uint64(q.Group))
		return wire.AppendUint(dst, uint64(q.Session))
	case KindAdmin:
		return appendAdmin(appendHead(dst, 8, q), &q.Admin)
	default:
		return appendHead(dst, 3, q)
	}
}

func appendHead(dst []byte, n int, q *Request) []byte {
	dst = wire.AppendUint(wire.AppendArray(dst, n), uint64(q.Kind))
	dst = wire.AppendUint(dst, q.ID)
	return wire.AppendUint(dst, uint64(max(q.Timeout, 0).Milliseconds()))
}

func appendWrite(dst []byte, q *Request) []byte {
	dst = wire.AppendUint(dst, uint64(q.Group))
	dst = wire.AppendUint(dst, uint64(q.Session))
	dst = wire.AppendUint(dst, uint64(q.Sequence))
	dst = wire.AppendUint(dst, uint64(q.Acked))
	if revision, ok := q.Require.Revision(); ok {
		dst = wire.AppendUint(dst, uint64(revision))
	} else {
		dst = wire.AppendNil(dst)
	}
	return wire.AppendBytes(dst, q.Key)
}

// requestLengths is the number of elements of each kind of request.
var requestLengths = [...]int{
	KindPut: 10, KindGet: 5, KindDelete: 9, KindScan: 8, KindStatus: 3, KindOpenSession: 4, KindCloseSession: 5, KindRoutes: 3,
	KindAdmin: 8, KindExport: 4,
}

// DecodeRequest reads the body of a frame into q, which it overwrites; q's byte slices alias body. Sizes of keys and
// values are left to the server, whose refusal is typed; only MaxFrameBytes bounds them here. When the head
// could be read, q.Kind and q.ID are set even if the rest could not. Errors are *wire.DecodeError.
func DecodeRequest(body []byte, q *Request) error {
	var r wire.Reader
	r.Reset(body)
	n := r.ArrayLen(16)
	*q = Request{Kind: Kind(r.UintMax(math.MaxUint8)), ID: r.Uint()}
	q.Timeout = time.Duration(min(r.Uint(), uint64(MaxTimeout.Milliseconds()))) * time.Millisecond
	if r.Err() == nil && (int(q.Kind) >= len(requestLengths) || requestLengths[q.Kind] == 0 || n != requestLengths[q.Kind]) {
		r.Fail("request", wire.ErrInvalid)
	}
	switch q.Kind {
	case KindPut:
		readWrite(&r, q)
		q.Value = r.Bytes()
	case KindDelete:
		readWrite(&r, q)
	case KindGet:
		q.Consistency = Consistency(r.UintMax(uint64(Stale)))
		q.Key = r.Bytes()
	case KindScan:
		q.Group = wire.GroupID(r.Uint())
		q.Consistency = Consistency(r.UintMax(uint64(Stale)))
		q.Key, q.After = r.Bytes(), r.Bytes()
		q.Limit = int(min(r.Uint(), MaxPageItems))
	case KindAdmin:
		q.Admin = readAdmin(&r)
	case KindOpenSession, KindExport:
		q.Group = wire.GroupID(r.Uint())
	case KindCloseSession:
		q.Group = wire.GroupID(r.Uint())
		q.Session = SessionID(r.Uint())
	}
	return r.Done()
}

func readWrite(r *wire.Reader, q *Request) {
	q.Group = wire.GroupID(r.Uint())
	q.Session = SessionID(r.Uint())
	q.Sequence = Sequence(r.Uint())
	q.Acked = Sequence(r.Uint())
	if !r.Nil() {
		q.Require = AtRevision(Revision(r.Uint()))
	}
	q.Key = r.Bytes()
}
