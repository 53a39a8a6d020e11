package multiraft

import (
	"bytes"
	"errors"
	"testing"

	"flotilla/raft/wire"
)

func propsOf(sizes ...int) []*proposal {
	var props []*proposal
	for i, n := range sizes {
		props = append(props, &proposal{data: bytes.Repeat([]byte{byte(i)}, n)})
	}
	return props
}

func TestPackRoundTrip(t *testing.T) {
	for _, sizes := range [][]int{{0}, {1}, {300, 0, 70_000}, make([]int, 512)} {
		props := propsOf(sizes...)
		got, err := unpack(nil, &wire.Entry{Index: 7, Term: 3, Kind: wire.EntryData, Data: pack(props)})
		if err != nil || len(got) != len(props) {
			t.Fatalf("sizes %v: %d commands, %v", sizes, len(got), err)
		}
		for i, c := range got {
			if !bytes.Equal(c.Data, props[i].data) || c.Index != 7 || c.Term != 3 {
				t.Errorf("sizes %v: command %d is %+v", sizes, i, c)
			}
		}
	}
}

func TestBatchOf(t *testing.T) {
	change := &proposal{change: new(wire.OneChange(wire.ChangeAddLearner, 4))}
	many := make([]int, 2*maxPackedCommands)
	for _, tc := range []struct {
		name  string
		props []*proposal
		want  int
	}{
		{"one", propsOf(1), 1},
		{"few", propsOf(1, 2, 3), 3},
		{"count limit", propsOf(many...), maxPackedCommands},
		{"byte limit", propsOf(maxPackedBytes/2, maxPackedBytes/2-2*packOverhead, 1), 2},
		{"a large one travels alone", propsOf(MaxCommandBytes, 1), 1},
		{"after small ones too", propsOf(1, MaxCommandBytes), 1},
		{"a change travels alone", append([]*proposal{change}, propsOf(1)...), 1},
		{"after commands too", append(propsOf(1, 1), change), 2},
	} {
		if got := batchOf(tc.props); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

// F17: what cannot be understood is an error, never skipped.
func TestUnpackRefuses(t *testing.T) {
	for name, data := range map[string][]byte{
		"empty":             {},
		"no version":        wire.AppendArray(nil, 0),
		"another version":   wire.AppendUint(wire.AppendArray(nil, 1), packVersion+1),
		"trailing bytes":    append(packOne([]byte("a")), 0),
		"short":             packOne([]byte("abc"))[:4],
		"a count of 2^32-1": {0xdd, 0xff, 0xff, 0xff, 0xff, packVersion},
	} {
		_, err := unpack(nil, &wire.Entry{Index: 1, Data: data})
		var decode *wire.DecodeError
		if !errors.As(err, &decode) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(pack(propsOf(1, 0, 300)))
	f.Add(packOne(nil))
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff, packVersion})
	f.Fuzz(func(t *testing.T, data []byte) {
		commands, err := unpack(nil, &wire.Entry{Index: 1, Data: data})
		if err != nil {
			return
		}
		props := make([]*proposal, 0, len(commands))
		for _, c := range commands {
			props = append(props, &proposal{data: c.Data})
		}
		again, err := unpack(nil, &wire.Entry{Index: 1, Data: pack(props)})
		if err != nil || len(again) != len(commands) {
			t.Fatalf("%d commands became %d, %v", len(commands), len(again), err)
		}
		for i := range again {
			if !bytes.Equal(again[i].Data, commands[i].Data) {
				t.Fatalf("command %d changed", i)
			}
		}
	})
}

func FuzzForwardRequest(f *testing.F) {
	r := forwardRequest{group: 7, op: opPropose, data: []byte("x")}
	f.Add(r.append(nil))
	f.Add([]byte{0x93, 1, 0, 0xc0})
	f.Fuzz(func(t *testing.T, data []byte) {
		req, err := readForwardRequest(data)
		if err != nil {
			return
		}
		again, err := readForwardRequest(req.append(nil))
		if err != nil || again.group != req.group || again.op != req.op || !bytes.Equal(again.data, req.data) {
			t.Fatalf("%+v became %+v, %v", req, again, err)
		}
	})
}

func FuzzForwardReply(f *testing.F) {
	f.Add(appendForwardReply(nil, Result{Index: 1, Term: 2, Value: []byte("x")}))
	f.Add(appendForwardReply(nil, Result{}))
	f.Fuzz(func(t *testing.T, data []byte) {
		res, err := readForwardReply(data)
		if err != nil {
			return
		}
		again, err := readForwardReply(appendForwardReply(nil, res))
		if err != nil || again.Index != res.Index || again.Term != res.Term || !bytes.Equal(again.Value, res.Value) ||
			(again.Value == nil) != (res.Value == nil) {
			t.Fatalf("%+v became %+v, %v", res, again, err)
		}
	})
}
