package courier

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"flotilla/epoch"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

const (
	// version of the exchange in front of a session. A later one is refused.
	version = 1
	// maxFrame bounds what is said before a session: a message without entries and a few names of snapshots, or an error.
	maxFrame = 4 << 10
	// maxOffers bounds the snapshots that are offered at once: a Store keeps two, and those that are being read.
	maxOffers = 8

	// How many fields a call, an offer and a reply have.
	callFields  = 5
	offerFields = 2
	replyFields = 5
)

// errFrame says that a peer's frame is none of this protocol.
var errFrame = errors.New("not a frame of the snapshot protocol")

// call is how a sender begins: who it is, what it announces, and what it could send. Layout in docs/format.md.
type call struct {
	stamp  epoch.Stamp
	m      wire.Message
	offers []offer // newest first
}

// offer names a snapshot.
type offer struct {
	index wire.Index
	id    snapshotstream.ID
}

// reply is how a receiver begins: which one it would like, or why none.
type reply struct {
	stamp epoch.Stamp
	index wire.Index // 0 with no
	no    *wire.Error
}

func appendStamp(dst []byte, s epoch.Stamp) []byte {
	return wire.AppendUint(wire.AppendUint(dst, uint64(s.Observed)), uint64(s.Applied))
}

func readStamp(r *wire.Reader) epoch.Stamp {
	return epoch.Stamp{Observed: epoch.Epoch(r.Uint()), Applied: epoch.Epoch(r.Uint())}
}

// readVersion reads what the frames of every version begin with. How many fields there are is for that version to say.
func readVersion(r *wire.Reader, fields int) error {
	n := r.ArrayLen(maxFrame)
	if v := r.Uint(); r.Err() == nil && v != version {
		return fmt.Errorf("version %d, this node speaks %d: %w", v, version, errFrame)
	}
	if r.Err() == nil && n != fields {
		r.Fail("fields", wire.ErrInvalid)
	}
	return broken(r.Err())
}

// broken is errFrame with what is wrong, or nil.
func broken(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	return nil
}

func appendCall(dst []byte, c *call) []byte {
	dst = wire.AppendUint(wire.AppendArray(dst, callFields), version)
	dst = wire.AppendMessages(appendStamp(dst, c.stamp), []wire.Message{c.m})
	dst = wire.AppendArray(dst, len(c.offers))
	for _, o := range c.offers {
		dst = wire.AppendBytes(wire.AppendUint(wire.AppendArray(dst, offerFields), uint64(o.index)), o.id[:])
	}
	return dst
}

func parseCall(b []byte) (c call, err error) {
	r := wire.NewReader(b)
	if err := readVersion(r, callFields); err != nil {
		return c, err
	}
	c.stamp = readStamp(r)
	msgs, _ := wire.ReadMessages(r, nil)
	for range r.ArrayLen(maxOffers) {
		c.offers = append(c.offers, readOffer(r))
	}
	if err := broken(r.Done()); err != nil {
		return c, err
	}
	if len(msgs) != 1 || msgs[0].Type != wire.MsgSnapshot || len(c.offers) == 0 {
		return c, fmt.Errorf("%d messages, %d offers: %w", len(msgs), len(c.offers), errFrame)
	}
	c.m = msgs[0]
	for _, o := range c.offers {
		if o.index == 0 || o.index > c.m.Index { // the core hears of the message's only
			return c, fmt.Errorf("snapshot %d was not announced, %d was: %w", o.index, c.m.Index, errFrame)
		}
	}
	return c, nil
}

func readOffer(r *wire.Reader) offer {
	r.Array(offerFields)
	o := offer{index: wire.Index(r.UintMax(wire.MaxNumber))}
	id := r.Bytes()
	if r.Err() == nil && len(id) != len(o.id) {
		r.Fail("snapshot id", wire.ErrInvalid)
	}
	copy(o.id[:], id)
	return o
}

func appendReply(dst []byte, p *reply) []byte {
	dst = wire.AppendUint(wire.AppendArray(dst, replyFields), version)
	dst = wire.AppendUint(appendStamp(dst, p.stamp), uint64(p.index))
	if p.no == nil {
		return wire.AppendNil(dst)
	}
	return wire.AppendError(dst, p.no)
}

func parseReply(b []byte) (p reply, err error) {
	r := wire.NewReader(b)
	if err := readVersion(r, replyFields); err != nil {
		return p, err
	}
	p.stamp = readStamp(r)
	p.index = wire.Index(r.UintMax(wire.MaxNumber))
	if !r.Nil() {
		p.no = wire.ReadError(r)
	}
	if err := broken(r.Done()); err != nil {
		return p, err
	}
	if (p.index == 0) != (p.no != nil) {
		return p, fmt.Errorf("neither yes nor no: %w", errFrame)
	}
	return p, nil
}

// writeFrame writes b with its length in front, in one Write.
func writeFrame(w io.Writer, body func(dst []byte) []byte) error {
	b := body(make([]byte, 4))
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	_, err := w.Write(b)
	return err
}

// readFrame reads a frame of at most maxFrame.
func readFrame(r io.Reader) ([]byte, error) {
	var lead [4]byte
	if _, err := io.ReadFull(r, lead[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(lead[:])
	if n > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes, %d at most: %w", n, maxFrame, errFrame)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}
