package framing

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flotilla/epoch"
	"flotilla/raft/wire"
)

func testPreface() Preface {
	return Preface{
		Cluster: wire.ClusterID{1, 2, 3}, Node: 9, Incarnation: 3, Generation: 1 << 60, Boot: 1 << 63,
		Lane: LaneAppend, Index: 1, Versions: Versions{Min: 1, Max: 4},
	}
}

// A preface that is accepted says the same when it is written again.
func FuzzPreface(f *testing.F) {
	p := testPreface()
	good := p.Append(nil)
	f.Add(good)
	f.Add(good[:20])
	f.Add(append(bytes.Clone(good), 1, 2, 3))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ReadPreface(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := ReadPreface(bytes.NewReader(p.Append(nil)))
		if err != nil || again != p {
			t.Fatalf("%+v came back as %+v, %v", p, again, err)
		}
	})
}

// readAll reads the frames of one lane stream as a laneReader does, up to the fence and the notice.
func readAll(b []byte) (frames int) {
	f := NewReader(bytes.NewReader(b), false)
	var r wire.Reader
	var msgs []wire.Message
	for {
		frame, err := f.Next()
		if err != nil {
			return frames
		}
		r.Reset(frame)
		s, withNotice, err := ReadHead(&r)
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
			ReadNotice(&r)
		}
		if r.Done() != nil {
			return frames
		}
		frames++
	}
}

// No bytes on a lane make the reader of frames panic, and what an outbox writes it reads back.
func FuzzFrames(f *testing.F) {
	var box Outbox
	box.AddMessage(&wire.Message{Type: wire.MsgAppend, From: 1, To: 2, Group: 5, Term: 3, Context: 1, Entries: []wire.Entry{{Term: 1, Index: 1, Kind: wire.EntryData, Data: []byte("data")}}})
	box.AddNotice(Notice{Kind: NoticeRefused, Lane: LaneForward, Seq: 1 << 40})
	box.AddFrame(0, nil)
	box.AddMessage(&wire.Message{Type: wire.MsgHeartbeat, From: 1, To: 2, Group: 7, Term: 3, Context: 1})
	for i := range box.Frames() {
		box.Sealed(i, epoch.Stamp{Observed: 7, Applied: 6})
	}
	if n := readAll(box.Bytes()); n != 4 {
		f.Fatalf("read %d frames of 4", n)
	}
	f.Add(box.Bytes())
	f.Add(box.Bytes()[:box.Len()-3])
	f.Add([]byte{0, 0, 0, 5, 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) { readAll(b) })
}

// A refusal says the same when it is written again.
func FuzzNotice(f *testing.F) {
	f.Add(appendNotice(nil, Notice{Kind: NoticeRefused, Lane: LaneForward, Index: 1, Seq: 77})[headBytes:])
	f.Add(appendNotice(nil, Notice{Kind: NoticeGoodbye})[headBytes:])
	f.Add([]byte{0x94, 0xcc, 0xff, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		n := ReadNotice(r)
		if r.Err() != nil {
			return
		}
		again := ReadNotice(wire.NewReader(appendNotice(nil, n)[headBytes:]))
		if again != n {
			t.Fatalf("%+v came back as %+v", n, again)
		}
	})
}

// An item of the forward lane says the same when it is written again, and its size is never understated.
func FuzzItem(f *testing.F) {
	for _, it := range []Item{
		{Kind: ItemRequest, ID: 1, Number: 5000, Body: []byte("request")},
		{Kind: ItemReply, ID: 1 << 60, Body: []byte{}},
		{Kind: ItemReply, ID: 2},
		{Kind: ItemError, ID: 3, Err: &wire.Error{Code: wire.CodeNotLeader, Group: 1 << 62, Leader: wire.MaxNodeID, Detail: "ask"}},
		{Kind: ItemCancel, ID: 4},
	} {
		f.Add(it.Append(nil))
	}
	f.Add([]byte{0x94, 1, 1, 0, 0xc6, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		it := ReadItem(r)
		if r.Err() != nil {
			return
		}
		enc := it.Append(nil)
		if len(enc) > it.Size() {
			t.Fatalf("%d bytes, size said %d", len(enc), it.Size())
		}
		if again := ReadItem(wire.NewReader(enc)); !cmp.Equal(again, it) {
			t.Fatalf("%+v came back as %+v", it, again)
		}
	})
}
