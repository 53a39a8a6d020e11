package quictransport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flotilla/epoch"
	"flotilla/raft/wire"
)

func testPreface() preface {
	return preface{
		cluster: testCluster, node: 9, incarnation: 3, generation: 1 << 60, boot: 1 << 63,
		lane: laneAppend, index: 1, versions: versionRange{1, 4},
	}
}

// A preface that is accepted says the same when it is written again.
func FuzzPreface(f *testing.F) {
	p := testPreface()
	good := p.append(nil)
	f.Add(good)
	f.Add(good[:20])
	f.Add(append(bytes.Clone(good), 1, 2, 3))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := readPreface(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := readPreface(bytes.NewReader(p.append(nil)))
		if err != nil || again != p {
			t.Fatalf("%+v came back as %+v, %v", p, again, err)
		}
	})
}

// readAll reads the frames of one lane stream as a laneReader does, up to the fence and the notice.
func readAll(b []byte) (frames int) {
	f := frameReader{src: bytes.NewReader(b)}
	var r wire.Reader
	var msgs []wire.Message
	for {
		frame, err := f.next()
		if err != nil {
			return frames
		}
		r.Reset(frame)
		s, withNotice, err := readHead(&r)
		if err != nil {
			return frames
		}
		if err := epoch.NewHolder(0).Admit(s); err != nil {
			continue
		}
		if msgs, err = wire.ReadMessages(&r, msgs); err != nil {
			return frames
		}
		if withNotice {
			readNotice(&r)
		}
		if r.Done() != nil {
			return frames
		}
		frames++
	}
}

// No bytes on a lane make the reader of frames panic, and what an outbox writes it reads back.
func FuzzFrames(f *testing.F) {
	var box outbox
	m := appendOf(1, 2, 5, 1, []byte("data"))
	box.addMessage(&m[0])
	box.addNotice(notice{kind: noticeRefused, lane: laneForward, seq: 1 << 40})
	box.addFrame(0, nil)
	h := heartbeat(1, 2, 1)
	box.addMessage(&h[0])
	for i := range box.frames {
		box.sealed(i, epoch.Stamp{Observed: 7, Applied: 6})
	}
	if n := readAll(box.buf); n != 4 {
		f.Fatalf("read %d frames of 4", n)
	}
	f.Add(box.buf)
	f.Add(box.buf[:len(box.buf)-3])
	f.Add([]byte{0, 0, 0, 5, 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) { readAll(b) })
}

// A refusal says the same when it is written again.
func FuzzNotice(f *testing.F) {
	f.Add(appendNotice(nil, notice{kind: noticeRefused, lane: laneForward, index: 1, seq: 77})[headBytes:])
	f.Add(appendNotice(nil, notice{kind: noticeGoodbye})[headBytes:])
	f.Add([]byte{0x94, 0xcc, 0xff, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		n := readNotice(r)
		if r.Err() != nil {
			return
		}
		again := readNotice(wire.NewReader(appendNotice(nil, n)[headBytes:]))
		if again != n {
			t.Fatalf("%+v came back as %+v", n, again)
		}
	})
}

// An item of the forward lane says the same when it is written again, and its size is never understated.
func FuzzItem(f *testing.F) {
	for _, it := range []item{
		{kind: itemRequest, id: 1, number: 5000, body: []byte("request")},
		{kind: itemReply, id: 1 << 60, body: []byte{}},
		{kind: itemReply, id: 2},
		{kind: itemError, id: 3, err: &wire.Error{Code: wire.CodeNotLeader, Group: 1 << 62, Leader: wire.MaxNodeID, Detail: "ask"}},
		{kind: itemCancel, id: 4},
	} {
		f.Add(it.append(nil))
	}
	f.Add([]byte{0x94, 1, 1, 0, 0xc6, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		it := readItem(r)
		if r.Err() != nil {
			return
		}
		enc := it.append(nil)
		if len(enc) > it.size() {
			t.Fatalf("%d bytes, size said %d", len(enc), it.size())
		}
		if again := readItem(wire.NewReader(enc)); !cmp.Equal(again, it, cmp.AllowUnexported(item{})) {
			t.Fatalf("%+v came back as %+v", it, again)
		}
	})
}

// What a stranger asks is read within its bound, byte for byte, and nothing beyond it.
func FuzzJoinRequest(f *testing.F) {
	f.Add(appendSized(nil, []byte("let me in")))
	f.Add(appendSized(nil, nil))
	f.Add(binary.BigEndian.AppendUint32(nil, maxJoinRequest+1))
	f.Add([]byte{0, 0, 0, 9, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		src := bytes.NewReader(b)
		got, err := readSized(src, maxJoinRequest)
		if whole := appendSized(nil, got); err == nil && (len(got) > maxJoinRequest || !bytes.Equal(whole, b[:len(b)-src.Len()])) {
			t.Fatalf("%x was read from %x", got, b)
		}
	})
}

// What a member says is an answer or a typed refusal, never both, or an error.
func FuzzJoinReply(f *testing.F) {
	no := wire.AppendError(nil, &wire.Error{Code: wire.CodeUnsafe, Detail: "not you"})
	for _, kind := range []byte{joinAnswer, joinRefusal, 2} {
		f.Add(appendSized([]byte{kind}, no))
		f.Add(appendSized([]byte{kind}, append(no, 0)))
	}
	f.Add(binary.BigEndian.AppendUint32([]byte{joinAnswer}, maxJoinReply+1))
	f.Fuzz(func(t *testing.T, b []byte) {
		src := bytes.NewReader(b)
		got, err := readReply(src)
		var refused *wire.Error
		switch read := b[:len(b)-src.Len()]; {
		case err == nil:
			if !bytes.Equal(appendSized([]byte{joinAnswer}, got), read) {
				t.Fatalf("%x was read from %x", got, b)
			}
		case got != nil:
			t.Fatalf("both %x and %v", got, err)
		case errors.As(err, &refused):
			again, err := readReply(bytes.NewReader(appendSized([]byte{joinRefusal}, wire.AppendError(nil, refused))))
			if !cmp.Equal(err, error(refused)) || again != nil || read[0] != joinRefusal {
				t.Fatalf("%v came back as %v", refused, err)
			}
		}
	})
}

// The ring keeps the latest frames within its bounds, and gives each back once.
func TestResendRing(t *testing.T) {
	var r resendRing
	for seq := uint64(1); seq <= 3*resendFrames; seq++ {
		r.keep(seq, 1, []byte{byte(seq), byte(seq >> 8)})
	}
	if _, _, ok := r.take(2 * resendFrames); ok {
		t.Error("a frame too old was kept")
	}
	last := uint64(3 * resendFrames)
	if n, b, ok := r.take(last); !ok || n != 1 || b[0] != byte(last&0xff) {
		t.Errorf("the last frame: %d %v %v", n, b, ok)
	}
	if _, _, ok := r.take(last); ok {
		t.Error("a frame was given twice")
	}
	for _, never := range []uint64{0, last + 1, 1 << 60} {
		if _, _, ok := r.take(never); ok {
			t.Errorf("frame %d was never kept", never)
		}
	}
	big := make([]byte, resendBytes/2+1)
	for range 5 {
		last++
		r.keep(last, 2, big)
		if r.bytes > resendBytes {
			t.Fatalf("%d bytes kept", r.bytes)
		}
	}
	last++
	r.keep(last, 1, make([]byte, resendBytes+1))
	if _, _, ok := r.take(last); ok || r.bytes != 0 {
		t.Errorf("a frame above the bound: kept %v, %d bytes", ok, r.bytes)
	}
}
