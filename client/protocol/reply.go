package protocol

import (
	"math"

	"flotilla/raft/wire"
)

// The kinds of replies. Numbers never change.
const (
	// ReplyWrite answers a put or a delete: Outcome, Revision, Group, Epoch.
	ReplyWrite Kind = 64
	// ReplyValue answers a get: Outcome, Revision, Group, Value.
	ReplyValue Kind = 65
	// ReplyPage answers a scan: Items, More.
	ReplyPage Kind = 66
	// ReplyStatus answers with Status.
	ReplyStatus Kind = 67
	// ReplySession answers for an opened or closed session: Outcome, Session.
	ReplySession Kind = 68
	// ReplyRoutes answers with Routes.
	ReplyRoutes Kind = 69
	// ReplyError answers any request: Err.
	ReplyError Kind = 70
	// ReplyAdmin answers what an administrator asked: Group, Text.
	ReplyAdmin Kind = 71
	// ReplyExport answers an export with the next piece of a snapshot's bytes: Value, and More unless it was the last one. An
	// empty piece with More says that the node is at work.
	ReplyExport Kind = 72
)

// Item is one key of a scan.
type Item struct {
	Key      []byte
	Value    []byte
	Revision Revision
}

// Reply is a server's answer to the request of the same ID. Which fields a kind uses is said at the kinds.
type Reply struct {
	Kind     Kind
	ID       uint64
	Outcome  Outcome
	Revision Revision
	Group    wire.GroupID
	Epoch    uint64
	Session  SessionID
	Value    []byte
	Items    []Item
	More     bool
	Status   *Status
	Routes   *Routes
	Text     string
	// Err is never nil in a ReplyError; its Cause does not travel.
	Err *wire.Error
}

// AppendReply appends the body of a frame with p.
func AppendReply(dst []byte, p *Reply) []byte {
	head := func(n int) []byte {
		return wire.AppendUint(wire.AppendUint(wire.AppendArray(dst, n), uint64(p.Kind)), p.ID)
	}
	switch p.Kind {
	case ReplyWrite:
		dst = wire.AppendUint(head(6), uint64(p.Outcome))
		dst = wire.AppendUint(dst, uint64(p.Revision))
		return wire.AppendUint(wire.AppendUint(dst, uint64(p.Group)), p.Epoch)
	case ReplyValue:
		dst = wire.AppendUint(head(6), uint64(p.Outcome))
		dst = wire.AppendUint(dst, uint64(p.Revision))
		return wire.AppendBytes(wire.AppendUint(dst, uint64(p.Group)), p.Value)
	case ReplyPage:
		dst = wire.AppendBool(head(3+3*len(p.Items)), p.More)
		for i := range p.Items {
			dst = wire.AppendBytes(wire.AppendBytes(dst, p.Items[i].Key), p.Items[i].Value)
			dst = wire.AppendUint(dst, uint64(p.Items[i].Revision))
		}
		return dst
	case ReplySession:
		return wire.AppendUint(wire.AppendUint(head(4), uint64(p.Outcome)), uint64(p.Session))
	case ReplyStatus:
		return appendStatus(head(3), p.Status)
	case ReplyRoutes:
		return appendRoutes(head(3), p.Routes)
	case ReplyExport:
		return wire.AppendBytes(wire.AppendBool(head(4), p.More), p.Value)
	case ReplyAdmin:
		return wire.AppendString(wire.AppendUint(head(4), uint64(p.Group)), cut(p.Text))
	default:
		return appendError(head(7), p.Err)
	}
}

// appendError appends [class, code, group, leader, detail] without an array of its own.
func appendError(dst []byte, e *wire.Error) []byte {
	dst = wire.AppendUint(dst, uint64(ClassOf(e.Code)))
	dst = wire.AppendUint(dst, uint64(e.Code))
	dst = wire.AppendUint(dst, uint64(e.Group))
	dst = wire.AppendUint(dst, uint64(e.Leader))
	return wire.AppendString(dst, e.Detail[:min(len(e.Detail), MaxTextBytes)])
}

// DecodeReply reads the body of a frame into p, which it overwrites but for the room of p.Items; byte slices alias
// body. Errors are *wire.DecodeError.
func DecodeReply(body []byte, p *Reply) error {
	var r wire.Reader
	r.Reset(body)
	n := r.ArrayLen(3 + 3*MaxPageItems)
	*p = Reply{Kind: Kind(r.UintMax(math.MaxUint8)), ID: r.Uint(), Items: p.Items[:0]}
	want := n
	switch p.Kind {
	case ReplyWrite:
		want = 6
		p.Outcome = readOutcome(&r)
		p.Revision = Revision(r.Uint())
		p.Group, p.Epoch = wire.GroupID(r.Uint()), r.Uint()
	case ReplyValue:
		want = 6
		p.Outcome = readOutcome(&r)
		p.Revision = Revision(r.Uint())
		p.Group, p.Value = wire.GroupID(r.Uint()), r.Bytes()
	case ReplyPage:
		want = n - n%3
		p.More = r.Bool()
		for range n/3 - 1 {
			p.Items = append(p.Items, Item{Key: r.Bytes(), Value: r.Bytes(), Revision: Revision(r.Uint())})
		}
	case ReplySession:
		want = 4
		p.Outcome = readOutcome(&r)
		p.Session = SessionID(r.Uint())
	case ReplyStatus:
		want = 3
		p.Status = readStatus(&r)
	case ReplyRoutes:
		want = 3
		p.Routes = readRoutes(&r)
	case ReplyExport:
		want = 4
		p.More, p.Value = r.Bool(), r.Bytes()
	case ReplyAdmin:
		want = 4
		p.Group, p.Text = wire.GroupID(r.Uint()), r.String(MaxTextBytes)
	case ReplyError:
		want = 7
		p.Err = readError(&r)
	default:
		want = -1
	}
	if n != want {
		r.Fail("reply", wire.ErrInvalid)
	}
	return r.Done()
}

func readOutcome(r *wire.Reader) Outcome {
	o := Outcome(r.UintMax(uint64(maxOutcome)))
	if r.Err() == nil && o == 0 {
		r.Fail("outcome", wire.ErrInvalid)
	}
	return o
}

// readError reads what appendError wrote. The class is for readers that do not know the code: such an error becomes
// one that this version knows and treats alike.
func readError(r *wire.Reader) *wire.Error {
	class := Class(r.UintMax(math.MaxUint8))
	e := &wire.Error{Code: wire.Code(r.UintMax(math.MaxUint8))}
	e.Group, e.Leader = wire.GroupID(r.Uint()), wire.NodeID(r.UintMax(uint64(wire.MaxNodeID)))
	e.Detail = r.String(MaxTextBytes)
	if _, known := codeKinds[e.Code]; !known {
		e.Code = codeOfClass(class)
	}
	return e
}

// codeOfClass returns the code that stands for an unknown code of class c.
func codeOfClass(c Class) wire.Code {
	switch c {
	case ClassUsage, ClassPrecondition:
		return wire.CodeBadRequest
	case ClassUnavailable:
		return wire.CodeNotApplied
	case ClassFenced:
		return wire.CodeStaleEpoch
	case ClassOutcomeUnknown:
		return wire.CodeUnknownOutcome
	}
	return wire.CodeInternal
}
