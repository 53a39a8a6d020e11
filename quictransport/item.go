package quictransport

import (
	"math"

	"flotilla/raft/wire"
)

// itemKind is what an item of the forward lane is. Numbers never change.
type itemKind uint8

const (
	itemRequest itemKind = 1
	itemReply   itemKind = 2
	itemError   itemKind = 3
	itemCancel  itemKind = 4
)

const (
	// itemBytes bounds an item's encoding without its body or error.
	itemBytes = 1 + 1 + 9 + 9 + 5
	// errorBytes bounds the encoding of a wire.Error.
	errorBytes = 1 + 2 + 9 + 9 + 3 + wire.MaxDetail
	// maxTimeout bounds a request's time in milliseconds: a year, so that no sum overflows.
	maxTimeout = 365 * 24 * 3600 * 1000
)

// item is one request, reply, error or cancellation: [kind, id, number, body], where number is a request's time left in
// milliseconds (0: none) and body is binary, an encoded error, or nil.
type item struct {
	kind   itemKind
	id     uint64
	number uint64
	body   []byte
	err    *wire.Error
}

// size bounds the item's encoding.
func (it *item) size() int {
	if it.kind == itemError {
		return itemBytes + errorBytes
	}
	return itemBytes + len(it.body)
}

func (it *item) append(dst []byte) []byte {
	dst = wire.AppendArray(dst, 4)
	dst = wire.AppendUint(dst, uint64(it.kind))
	dst = wire.AppendUint(dst, it.id)
	dst = wire.AppendUint(dst, min(it.number, maxTimeout))
	if it.kind == itemError {
		return wire.AppendError(dst, it.err)
	}
	return wire.AppendBytes(dst, it.body)
}

// readItem reads what append appends. The body aliases the input.
func readItem(r *wire.Reader) item {
	r.Array(4)
	it := item{kind: itemKind(r.UintMax(math.MaxUint8)), id: r.Uint(), number: r.UintMax(maxTimeout)}
	if r.Err() != nil {
		return item{}
	}
	switch it.kind {
	case itemRequest, itemReply:
		if it.body = r.Bytes(); len(it.body) > maxRequest {
			r.Fail("forwarded body", wire.ErrLimit)
		}
	case itemError:
		it.err = wire.ReadError(r)
	case itemCancel:
		if !r.Nil() {
			r.Fail("cancellation", wire.ErrInvalid)
		}
	default:
		r.Fail("forwarded item", wire.ErrInvalid)
	}
	if r.Err() != nil {
		return item{}
	}
	return it
}
