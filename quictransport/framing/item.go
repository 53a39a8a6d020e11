package framing

import (
	"math"

	"flotilla/raft/wire"
)

// ItemKind is what an item of the forward lane is. Numbers never change.
type ItemKind uint8

// The items.
const (
	ItemRequest ItemKind = 1
	ItemReply   ItemKind = 2
	ItemError   ItemKind = 3
	ItemCancel  ItemKind = 4
)

const (
	// itemBytes bounds an item's encoding without its body or error.
	itemBytes = 1 + 1 + 9 + 9 + 5
	// errorBytes bounds the encoding of a wire.Error.
	errorBytes = 1 + 2 + 9 + 9 + 3 + wire.MaxDetail
	// maxTimeout bounds a request's time in milliseconds: a year, so that no sum overflows.
	maxTimeout = 365 * 24 * 3600 * 1000
)

// Item is one request, reply, error or cancellation: [Kind, ID, Number, Body], where Number is a request's time left in
// milliseconds (0: none) and Body is binary, an encoded error, or nil.
type Item struct {
	Kind   ItemKind
	ID     uint64
	Number uint64
	Body   []byte
	Err    *wire.Error
}

// Size bounds the item's encoding.
func (it *Item) Size() int {
	if it.Kind == ItemError {
		return itemBytes + errorBytes
	}
	return itemBytes + len(it.Body)
}

// Append appends the encoded item.
func (it *Item) Append(dst []byte) []byte {
	dst = wire.AppendArray(dst, 4)
	dst = wire.AppendUint(dst, uint64(it.Kind))
	dst = wire.AppendUint(dst, it.ID)
	dst = wire.AppendUint(dst, min(it.Number, maxTimeout))
	if it.Kind == ItemError {
		return wire.AppendError(dst, it.Err)
	}
	return wire.AppendBytes(dst, it.Body)
}

// ReadItem reads what Append appends. The body aliases the input.
func ReadItem(r *wire.Reader) Item {
	r.Array(4)
	it := Item{Kind: ItemKind(r.UintMax(math.MaxUint8)), ID: r.Uint(), Number: r.UintMax(maxTimeout)}
	if r.Err() != nil {
		return Item{}
	}
	switch it.Kind {
	case ItemRequest, ItemReply:
		if it.Body = r.Bytes(); len(it.Body) > MaxBody {
			r.Fail("forwarded body", wire.ErrLimit)
		}
	case ItemError:
		it.Err = wire.ReadError(r)
	case ItemCancel:
		if !r.Nil() {
			r.Fail("cancellation", wire.ErrInvalid)
		}
	default:
		r.Fail("forwarded item", wire.ErrInvalid)
	}
	if r.Err() != nil {
		return Item{}
	}
	return it
}
