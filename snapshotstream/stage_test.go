package snapshotstream

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"flotilla/internal/diskspace"
	"flotilla/raft/wire"
)

// What is staged becomes a snapshot like any other of the group that it is adopted by; until then the next start removes it.
func TestStage(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Dir: dir, ChunkSize: MinChunk})
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("state"), 999)
	state := State{Index: 7, Term: 3, Membership: wire.Membership{Voters: []wire.NodeID{1 << 40}}, Epoch: 4}
	stage := func() *Staged {
		st, err := s.Stage(state, uint64(len(body)))
		if err == nil {
			_, err = st.Write(body)
		}
		if err == nil {
			err = st.Seal()
		}
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	one, two, lost := stage(), stage(), stage()
	if len(s.Groups()) != 0 {
		t.Error("it is somebody's already")
	}
	h, err := one.Adopt(1 << 50)
	if err != nil || h.Group != 1<<50 || h.BodyLength != uint64(len(body)) || errors.Join(one.Discard(), two.Discard()) != nil {
		t.Fatalf("%+v, %v", h, err)
	}
	if _, err := lost.Adopt(1 << 50); !errors.Is(err, ErrHeld) {
		t.Errorf("the same once more: %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "recv", "*"))
	if len(left) != 1 {
		t.Errorf("staged files: %v", left)
	}
	if s, err = Open(Config{Dir: dir}); err != nil || len(s.Recovered()) != 1 {
		t.Fatalf("%v, %v", s.Recovered(), err)
	}
	if _, err := os.Stat(left[0]); !errors.Is(err, os.ErrNotExist) {
		t.Error("a start leaves it")
	}
	x, err := s.Open(1<<50, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	d, err := x.Body()
	if err != nil {
		t.Fatal(err)
	}
	found := d.Header()
	if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, body) || !found.equal(&h) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A body of another length than was said is none, and room is asked for before anything is written.
func TestStageRefuses(t *testing.T) {
	free := int64(1 << 30)
	s, err := Open(Config{Dir: t.TempDir(), Free: func(string) (int64, error) { return free, nil }})
	if err != nil {
		t.Fatal(err)
	}
	state := State{Index: 7, Term: 3, Membership: wire.Membership{Voters: []wire.NodeID{1}}}
	for _, n := range []int{9, 11} {
		st, err := s.Stage(state, 10)
		if err != nil {
			t.Fatal(err)
		}
		_, err = st.Write(make([]byte, n))
		if err == nil {
			err = st.Seal()
		}
		if !errors.Is(err, ErrHeader) || st.Discard() != nil {
			t.Errorf("%d bytes of 10: %v", n, err)
		}
	}
	var low *diskspace.LowError
	if _, err := s.Stage(state, 1<<30); !errors.As(err, &low) {
		t.Errorf("without room: %v", err)
	}
	if _, err := s.Stage(State{}, 1); !errors.Is(err, ErrHeader) {
		t.Errorf("of nothing: %v", err)
	}
}
