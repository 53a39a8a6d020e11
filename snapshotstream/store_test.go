package snapshotstream_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"flotilla/internal/diskspace"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/snapshottest"
)

const chunk = snapshotstream.MinChunk

func stateAt(g wire.GroupID, i wire.Index) snapshotstream.State {
	return snapshotstream.State{
		Group: g, Index: i, Term: 3, Epoch: 8,
		Membership: wire.Membership{Index: 2, Voters: []wire.NodeID{1, 2}, Learners: []wire.NodeID{9}, Outgoing: []wire.NodeID{2, 3}, Demoted: []wire.NodeID{3}},
	}
}

// bodyOf are n bytes that belong to index i.
func bodyOf(i wire.Index, n int) []byte {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(i))
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

func config(disk *snapshottest.Disk) snapshotstream.Config {
	return snapshotstream.Config{Dir: "/", Files: disk, Free: disk.Free, ReserveBytes: 1 << 10, ChunkSize: chunk}
}

func open(t testing.TB, disk *snapshottest.Disk) *snapshotstream.Store {
	t.Helper()
	s, err := snapshotstream.Open(config(disk))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func make1(s *snapshotstream.Store, g wire.GroupID, i wire.Index, body []byte) (snapshotstream.Header, error) {
	w, err := s.Create(stateAt(g, i))
	if err != nil {
		return snapshotstream.Header{}, err
	}
	if _, err := w.Write(body); err != nil {
		return snapshotstream.Header{}, errors.Join(err, w.Abort())
	}
	return w.Commit()
}

func mustMake(t testing.TB, s *snapshotstream.Store, g wire.GroupID, i wire.Index, n int) snapshotstream.Header {
	t.Helper()
	h, err := make1(s, g, i, bodyOf(i, n))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func mustOpen(t testing.TB, s *snapshotstream.Store, h snapshotstream.Header) *snapshotstream.Snapshot {
	t.Helper()
	x, err := s.Open(h.Group, h.Index)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// read returns the body of a snapshot, read to its end and so checked whole.
func read(s *snapshotstream.Store, h snapshotstream.Header) ([]byte, error) {
	x, err := s.Open(h.Group, h.Index)
	if err != nil {
		return nil, err
	}
	d, err := x.Body()
	if err != nil {
		return nil, errors.Join(err, x.Close())
	}
	b, err := io.ReadAll(d)
	return b, errors.Join(err, x.Close())
}

// source is a store with one snapshot, as another node has it.
func source(t testing.TB, g wire.GroupID, i wire.Index, n int) *snapshotstream.Snapshot {
	t.Helper()
	s := open(t, snapshottest.NewDisk())
	return mustOpen(t, s, mustMake(t, s, g, i, n))
}

// give has r take chunks of x until it has n of them more, or all.
func give(r *snapshotstream.Receiver, x *snapshotstream.Snapshot, n int) error {
	for ; n > 0 && r.Offset() < x.Header().BodyLength; n-- {
		record, err := x.Chunk(nil, r.Offset())
		if err != nil {
			return err
		}
		if err := r.Chunk(record); err != nil {
			return err
		}
	}
	return nil
}

// receive takes all of x into s.
func receive(s *snapshotstream.Store, x *snapshotstream.Snapshot) (snapshotstream.Header, error) {
	r, err := s.Accept(x.Header())
	if err != nil {
		return snapshotstream.Header{}, err
	}
	return finish(r, x)
}

func finish(r *snapshotstream.Receiver, x *snapshotstream.Snapshot) (snapshotstream.Header, error) {
	if err := give(r, x, 1<<30); err != nil {
		return snapshotstream.Header{}, errors.Join(err, r.Close())
	}
	trailer, err := x.Trailer()
	if err != nil {
		return snapshotstream.Header{}, err
	}
	h, err := r.Finish(trailer)
	return h, errors.Join(err, r.Close())
}

func indexes(s *snapshotstream.Store, g wire.GroupID) []wire.Index {
	var list []wire.Index
	for _, h := range s.List(g) {
		list = append(list, h.Index)
	}
	return list
}

// checkStore reads every snapshot whole, compares it with what its index says, and looks for files that nobody needs.
func checkStore(s *snapshotstream.Store, disk *snapshottest.Disk, g wire.GroupID, size func(wire.Index) int) error {
	want := map[string]bool{}
	for _, h := range s.List(g) {
		body, err := read(s, h)
		if err != nil {
			return err
		}
		if !bytes.Equal(body, bodyOf(h.Index, size(h.Index))) {
			return fmt.Errorf("snapshot %d has another body", h.Index)
		}
		want[fmt.Sprintf("/snap/%d/%020d-%020d.snap", g, h.Index, h.Term)] = true
	}
	if h, _, ok := s.Staged(g); ok {
		want[fmt.Sprintf("/recv/%d-%s.part", g, h.ID)] = true
		want[fmt.Sprintf("/recv/%d-%s.mark", g, h.ID)] = true
	}
	for _, path := range disk.Paths() {
		if !want[path] {
			return fmt.Errorf("%s is left over", path)
		}
	}
	if len(disk.Paths()) != len(want) {
		return fmt.Errorf("files %v, want %v", disk.Paths(), want)
	}
	return nil
}

func TestMakeAndRead(t *testing.T) {
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	size := func(i wire.Index) int { return int(i) * 300 }
	for i := wire.Index(2); i <= 9; i++ {
		mustMake(t, s, 4, i, size(i))
		if h, ok := s.Newest(4); !ok || h.Index != i {
			t.Fatalf("newest is %+v", h)
		}
	}
	if got := indexes(s, 4); !slices.Equal(got, []wire.Index{9, 8}) {
		t.Errorf("kept %v, want the newest two", got)
	}
	for _, s := range []*snapshotstream.Store{s, open(t, disk)} { // and after a restart
		if err := checkStore(s, disk, 4, size); err != nil {
			t.Error(err)
		}
	}
	if _, ok := s.Newest(5); ok {
		t.Error("a group without a snapshot has one")
	}
	if _, err := s.Create(stateAt(4, 9)); !errors.Is(err, snapshotstream.ErrHeld) {
		t.Errorf("the same again: %v", err)
	}
	if _, err := s.Create(stateAt(4, 7)); !errors.Is(err, snapshotstream.ErrOvertaken) {
		t.Errorf("an older one: %v", err)
	}
	if _, err := s.Create(stateAt(4, 0)); !errors.Is(err, snapshotstream.ErrHeader) {
		t.Errorf("of nothing: %v", err)
	}
	if _, err := s.Open(4, 7); !errors.Is(err, snapshotstream.ErrNotHeld) {
		t.Errorf("open what is gone: %v", err)
	}
}

func TestOneIsMadeAtATime(t *testing.T) {
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	w, err := s.Create(stateAt(4, 10))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(stateAt(4, 11)); !errors.Is(err, snapshotstream.ErrBusy) {
		t.Errorf("a second one: %v", err)
	}
	mustMake(t, s, 5, 11, 10) // another group does not wait
	if err := errors.Join(w.Abort(), w.Abort()); err != nil {
		t.Error(err)
	}
	mustMake(t, s, 4, 11, 10)
	w, err = s.Create(stateAt(4, 12))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := receive(s, source(t, 4, 20, 100)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); !errors.Is(err, snapshotstream.ErrOvertaken) {
		t.Errorf("made while a newer one came: %v", err)
	}
	if err := errors.Join(s.Drop(5), checkStore(s, disk, 4, func(i wire.Index) int { return map[wire.Index]int{11: 10, 20: 100}[i] })); err != nil {
		t.Error(err)
	}
}

// Two nodes whose machines write equal bytes make the same snapshot, whatever their epochs.
func TestEqualStatesAreOneSnapshot(t *testing.T) {
	a, b := source(t, 4, 10, 5000).Header(), source(t, 4, 10, 5000).Header()
	if a.ID != b.ID {
		t.Errorf("%s and %s", a.ID, b.ID)
	}
	if c := source(t, 4, 11, 5000).Header(); c.ID == a.ID {
		t.Error("another state has the same id")
	}
}

// D28: a second snapshot comes, is made and is removed while the first is being read into a machine.
func TestSecondSnapshotDuringInstall(t *testing.T) {
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	first, err := receive(s, source(t, 4, 10, 20*chunk))
	if err != nil {
		t.Fatal(err)
	}
	x := mustOpen(t, s, first)
	body, err := x.Body()
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 3*chunk+7)
	if _, err := io.ReadFull(body, head); err != nil {
		t.Fatal(err)
	}
	if _, err := receive(s, source(t, 4, 11, 5*chunk)); err != nil {
		t.Fatal(err)
	}
	mustMake(t, s, 4, 12, 5*chunk)
	mustMake(t, s, 4, 13, 5*chunk)
	if got := indexes(s, 4); !slices.Equal(got, []wire.Index{13, 12, 10}) {
		t.Errorf("held %v: the newest two and the one that is read", got)
	}
	rest, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(append(head, rest...), bodyOf(10, 20*chunk)) {
		t.Errorf("the first one reads %d bytes: %v", len(head)+len(rest), err)
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	if err := checkStore(s, disk, 4, func(wire.Index) int { return 5 * chunk }); err != nil || len(s.List(4)) != 2 {
		t.Errorf("then %v: %v", indexes(s, 4), err)
	}
}

// D24: a reader keeps what it reads though the file is removed, and though one of the same name takes its place.
func TestReaderWhileTheFileIsReplaced(t *testing.T) {
	s := open(t, snapshottest.NewDisk())
	x := mustOpen(t, s, mustMake(t, s, 4, 10, 20*chunk))
	body, err := x.Body()
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, chunk)
	if _, err := io.ReadFull(body, head); err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(4); err != nil {
		t.Fatal(err)
	}
	if _, err := make1(s, 4, 10, bodyOf(77, 20*chunk)); err != nil { // the same name, other bytes
		t.Fatal(err)
	}
	rest, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(append(head, rest...), bodyOf(10, 20*chunk)) {
		t.Errorf("%d bytes: %v", len(rest), err)
	}
}

func TestDropEndsWhatIsUnderWay(t *testing.T) {
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	mustMake(t, s, 4, 10, 10)
	w, err := s.Create(stateAt(4, 11))
	if err != nil {
		t.Fatal(err)
	}
	x := source(t, 4, 30, 5*chunk)
	r, err := s.Accept(x.Header())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(4); err != nil {
		t.Fatal(err)
	}
	if paths := disk.Paths(); len(paths) != 0 {
		t.Errorf("left: %v", paths)
	}
	again, err := s.Create(stateAt(4, 11)) // the group comes back
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); !errors.Is(err, snapshotstream.ErrTakenOver) {
		t.Errorf("commit of the former life: %v", err)
	}
	if err := give(r, x, 1); !errors.Is(err, snapshotstream.ErrTakenOver) {
		t.Errorf("chunk of the former life: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := again.Commit(); err != nil {
		t.Error(err)
	}
	if err := checkStore(s, disk, 4, func(wire.Index) int { return 0 }); err != nil {
		t.Error(err)
	}
	if err := errors.Join(s.Drop(99), s.Drop(4)); err != nil {
		t.Error(err)
	}
}

// What rots while it lies there is found when it is read, or at the next start, and set aside; the other one stays.
func TestDamagedSnapshots(t *testing.T) {
	for name, bit := range map[string]func(size int) int{
		"header": func(int) int { return 8 * 40 }, "trailer": func(size int) int { return 8*size - 100 },
		"body": func(size int) int { return 8 * size / 2 },
	} {
		disk := snapshottest.NewDisk()
		s := open(t, disk)
		mustMake(t, s, 4, 10, 5*chunk)
		h := mustMake(t, s, 4, 11, 5*chunk)
		path := fmt.Sprintf("/snap/4/%020d-%020d.snap", 11, 3)
		if err := disk.Flip(path, bit(disk.Size(path))); err != nil {
			t.Fatal(err)
		}
		if _, err := read(s, h); !errors.Is(err, snapshotstream.ErrCorrupt) {
			t.Errorf("%s: read with %v", name, err)
		}
		restarted := open(t, disk)
		if name == "body" { // that a start does not read
			if err := restarted.SetAside(h); err != nil {
				t.Error(err)
			}
			if err := restarted.SetAside(h); !errors.Is(err, snapshotstream.ErrNotHeld) {
				t.Errorf("twice: %v", err)
			}
		} else if steps := restarted.Recovered(); len(steps) != 1 || steps[0].Kind != snapshotstream.StepSetAside || !errors.Is(steps[0].Err, snapshotstream.ErrCorrupt) {
			t.Errorf("%s: the start did %v", name, steps)
		}
		if got := indexes(restarted, 4); !slices.Equal(got, []wire.Index{10}) || disk.Size(strings.TrimSuffix(path, "snap")+"snap.bad") < 0 {
			t.Errorf("%s: held %v, files %v", name, got, disk.Paths())
		}
		if _, err := receive(restarted, source(t, 4, 11, 5*chunk)); err != nil { // repaired from a peer
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoSpaceToMake(t *testing.T) {
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	mustMake(t, s, 4, 10, 10)
	disk.Limit(2000)
	var low *diskspace.LowError
	if _, err := s.Create(stateAt(4, 11)); !errors.As(err, &low) {
		t.Errorf("no room to begin: %v", err)
	}
	disk.Limit(8000)
	w, err := s.Create(stateAt(4, 11))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bodyOf(11, 20*chunk)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the disk runs full: %v", err)
	}
	if _, err := w.Commit(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("commit of half a body: %v", err)
	}
	if err := checkStore(s, disk, 4, func(wire.Index) int { return 10 }); err != nil {
		t.Error(err)
	}
}
