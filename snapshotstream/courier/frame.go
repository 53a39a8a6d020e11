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
	// maxFrame bounds what is said before a session: a message without entries, an error, a few names of snapshots.
	maxFrame = 64 << 10
	// maxOffers bounds the snapshots that are offered at once: a Store keeps two, and those that are being read.
	maxOffers = 8
)

// errFrame says that a peer's frame is none of this protocol.
var errFrame = errors.New("not a frame of the snapshot protocol")

// call is how a sender begins: who it is, what it announces, and what it could send.
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

func appendCall(dst []byte, c *call) []byte {
	dst = wire.AppendUint(wire.AppendArray(dst, 5), version)
	dst = wire.AppendMessages(appendStamp(dst, c.stamp), []wire.Message{c.m})
	dst = wire.AppendArray(dst, len(c.offers))
	for _, o := range c.offers {
		dst = wire.AppendBytes(wire.AppendUint(wire.AppendArray(dst, 2), uint64(o.index)), o.id[:])
	}
	return dst
}

func parseCall(b []byte) (c call, err error) {
	r := wire.NewReader(b)
	r.Array(5)
	if v := r.Uint(); r.Err() == nil && v != version {
		return c, fmt.Errorf("version %d, this node speaks %d: %w", v, version, errFrame)
	}
	c.stamp = readStamp(r)
	msgs, err := wire.ReadMessages(r, nil)
	if err != nil {
		return c, err
	}
	for range r.ArrayLen(maxOffers) {
		r.Array(2)
		o := offer{index: wire.Index(r.Uint())}
		if copy(o.id[:], r.Bytes()) != len(o.id) {
			r.Fail("id", errFrame)
		}
		c.offers = append(c.offers, o)
	}
	if err := r.Done(); err != nil {
		return c, err
	}
	if len(msgs) != 1 || msgs[0].Type != wire.MsgSnapshot || len(msgs[0].Entries) > 0 || len(c.offers) == 0 {
		return c, fmt.Errorf("%d messages, %d offers: %w", len(msgs), len(c.offers), errFrame)
	}
	c.m = msgs[0]
	return c, nil
}

func appendReply(dst []byte, p *reply) []byte {
	dst = wire.AppendUint(wire.AppendArray(dst, 5), version)
	dst = wire.AppendUint(appendStamp(dst, p.stamp), uint64(p.index))
	if p.no == nil {
		return wire.AppendNil(dst)
	}
	return wire.AppendError(dst, p.no)
}

func parseReply(b []byte) (p reply, err error) {
	r := wire.NewReader(b)
	r.Array(5)
	if v := r.Uint(); r.Err() == nil && v != version {
		return p, fmt.Errorf("version %d, this node speaks %d: %w", v, version, errFrame)
	}
	p.stamp = readStamp(r)
	p.index = wire.Index(r.Uint())
	if !r.Nil() {
		p.no = wire.ReadError(r)
	}
	if err := r.Done(); err != nil {
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
