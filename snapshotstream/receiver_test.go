package snapshotstream_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"syscall"
	"testing"

	"flotilla/internal/diskspace"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/snapshottest"
)

// N5: a transfer goes on at every boundary, after a broken connection and after a restart, and from another node.
func TestResumeAtEveryBoundary(t *testing.T) {
	const chunks = 70 // more than there are windows
	one, other := source(t, 4, 12, chunks*chunk-5), source(t, 4, 12, chunks*chunk-5)
	for restart := range 2 {
		for n := range chunks + 1 {
			disk := snapshottest.NewDisk()
			s := open(t, disk)
			r, err := s.Accept(one.Header())
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(give(r, one, n), r.Close(), r.Close()); err != nil {
				t.Fatal(err)
			}
			if restart == 1 {
				disk = disk.Restart(snapshottest.None)
				s = open(t, disk)
			}
			want := min(uint64(n)*chunk, one.Header().BodyLength)
			if _, durable, ok := s.Staged(4); !ok || durable != want {
				t.Fatalf("%d chunks, restart %d: noted %d, want %d", n, restart, durable, want)
			}
			if r, err = s.Accept(other.Header()); err != nil || r.Offset() != want {
				t.Fatalf("%d chunks, restart %d: goes on at %d: %v", n, restart, r.Offset(), err)
			}
			h, err := finish(r, other)
			if err != nil {
				t.Fatal(err)
			}
			body, err := read(s, h)
			if err != nil || !bytes.Equal(body, bodyOf(12, chunks*chunk-5)) {
				t.Fatalf("%d chunks, restart %d: %v", n, restart, err)
			}
			if _, err := s.Accept(one.Header()); !errors.Is(err, snapshotstream.ErrHeld) {
				t.Fatalf("offered again: %v", err)
			}
		}
	}
}

// A session that goes on with a transfer takes it from the one that began it, which notices with its next step.
func TestTakenOver(t *testing.T) {
	x := source(t, 4, 12, 200*chunk) // a mark every three chunks
	s := open(t, snapshottest.NewDisk())
	first, err := s.Accept(x.Header())
	if err != nil {
		t.Fatal(err)
	}
	if err := give(first, x, 7); err != nil {
		t.Fatal(err)
	}
	second, err := s.Accept(x.Header())
	if err != nil || second.Offset() != 7*chunk {
		t.Fatalf("goes on at %d: %v", second.Offset(), err)
	}
	if err := give(first, x, 1); !errors.Is(err, snapshotstream.ErrTakenOver) {
		t.Errorf("the first one: %v", err)
	}
	if _, err := first.Finish(nil); !errors.Is(err, snapshotstream.ErrTakenOver) {
		t.Errorf("the first one ends: %v", err)
	}
	if first.Durable() != 0 {
		t.Errorf("the first one has %d bytes", first.Durable())
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := finish(second, x); err != nil {
		t.Error(err)
	}
}

// Another snapshot of the group takes the place of one that is here in part.
func TestAnotherIsOffered(t *testing.T) {
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	old, x := source(t, 4, 12, 20*chunk), source(t, 4, 15, 3*chunk)
	r, err := s.Accept(old.Header())
	if err != nil {
		t.Fatal(err)
	}
	if err := give(r, old, 7); err != nil {
		t.Fatal(err)
	}
	if _, err := receive(s, x); err != nil {
		t.Fatal(err)
	}
	if err := give(r, old, 1); !errors.Is(err, snapshotstream.ErrTakenOver) {
		t.Errorf("the old one goes on: %v", err)
	}
	if _, err := s.Accept(old.Header()); !errors.Is(err, snapshotstream.ErrOvertaken) {
		t.Errorf("the old one again: %v", err)
	}
	if err := errors.Join(r.Close(), checkStore(s, disk, 4, func(wire.Index) int { return 3 * chunk })); err != nil {
		t.Error(err)
	}
}

// A newer snapshot that was made here while one came is the one that stays.
func TestOvertakenAtTheEnd(t *testing.T) {
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	x := source(t, 4, 12, 3*chunk)
	r, err := s.Accept(x.Header())
	if err != nil {
		t.Fatal(err)
	}
	mustMake(t, s, 4, 13, 100)
	if _, err := finish(r, x); !errors.Is(err, snapshotstream.ErrOvertaken) {
		t.Errorf("finished with %v", err)
	}
	if err := checkStore(s, disk, 4, func(wire.Index) int { return 100 }); err != nil || len(s.List(4)) != 1 {
		t.Errorf("held %v: %v", indexes(s, 4), err)
	}
}

// Under the id of what is here in part, but with another header: the part is not gone on with. Else whoever guesses an id
// could spoil the snapshot of an honest sender.
func TestSameIDOtherHeader(t *testing.T) {
	x := source(t, 4, 12, 20*chunk)
	s := open(t, snapshottest.NewDisk())
	forged := x.Header()
	forged.Term++
	r, err := s.Accept(forged)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(give(r, x, 7), r.Close()); err != nil {
		t.Fatal(err)
	}
	if r, err = s.Accept(x.Header()); err != nil || r.Offset() != 0 {
		t.Fatalf("goes on at %d: %v", r.Offset(), err)
	}
	if _, err := finish(r, x); err != nil {
		t.Error(err)
	}
}

// flipped is the next chunk of x with a flipped bit.
func flipped(t *testing.T, x *snapshotstream.Snapshot, offset uint64) []byte {
	t.Helper()
	record, err := x.Chunk(nil, offset)
	if err != nil {
		t.Fatal(err)
	}
	record[len(record)/2] ^= 8
	return record
}

// P36: two strikes for the same snapshot quarantine it, with a name; what is said of one says nothing of another.
func TestTwoStrikes(t *testing.T) {
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	x := source(t, 4, 12, 20*chunk)
	for strike := range 2 {
		r, err := s.Accept(x.Header())
		if err != nil {
			t.Fatal(err)
		}
		if err := give(r, x, 3); err != nil {
			t.Fatal(err)
		}
		err = r.Chunk(flipped(t, x, r.Offset()))
		var out *snapshotstream.QuarantinedError
		if !errors.Is(err, snapshotstream.ErrCorrupt) || errors.As(err, &out) != (strike == 1) {
			t.Errorf("strike %d: %v", strike, err)
		}
		if err := r.Close(); err != nil && strike == 0 {
			t.Error(err)
		}
	}
	var out *snapshotstream.QuarantinedError
	if _, err := s.Accept(x.Header()); !errors.As(err, &out) || out.Header.ID != x.Header().ID || !errors.Is(err, snapshotstream.ErrCorrupt) {
		t.Errorf("offered again: %v", err)
	}
	if paths := disk.Paths(); len(paths) != 0 {
		t.Errorf("it left %v", paths)
	}
	if _, err := receive(s, source(t, 4, 13, 20*chunk)); err != nil {
		t.Errorf("another one: %v", err)
	}
	if _, err := open(t, snapshottest.NewDisk()).Accept(x.Header()); err != nil {
		t.Errorf("another life: %v", err)
	}
}

// P36: who has no other one to offer is not refused for ever: the group may wait for this very node, and only a restart helped.
func TestQuarantineIsNotForEver(t *testing.T) {
	s := open(t, snapshottest.NewDisk())
	x := source(t, 4, 12, 20*chunk)
	spoilt, refused := 0, 0
	for range 200 {
		r, err := s.Accept(x.Header())
		var out *snapshotstream.QuarantinedError
		if errors.As(err, &out) {
			refused++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		spoilt++
		if err := r.Chunk(flipped(t, x, 0)); !errors.Is(err, snapshotstream.ErrCorrupt) {
			t.Error(err)
		}
		_ = r.Close()
	}
	if spoilt < 5 || refused < 10*spoilt {
		t.Errorf("taken %d times and refused %d times", spoilt, refused)
	}
	for range 100 {
		if _, err := receive(s, x); err == nil {
			return
		}
	}
	t.Error("a snapshot that comes well at last is never taken")
}

// P36: one success clears the strike: what comes again later begins with none.
func TestSuccessClearsTheStrike(t *testing.T) {
	s := open(t, snapshottest.NewDisk())
	x := source(t, 4, 12, 20*chunk)
	strike := func() {
		t.Helper()
		r, err := s.Accept(x.Header())
		if err != nil {
			t.Fatal(err)
		}
		var out *snapshotstream.QuarantinedError
		if err := r.Chunk(flipped(t, x, r.Offset())); !errors.Is(err, snapshotstream.ErrCorrupt) || errors.As(err, &out) {
			t.Errorf("a first strike: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	strike()
	h, err := receive(s, x)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetAside(h); err != nil { // so that it can come again
		t.Fatal(err)
	}
	strike()
	if _, err := receive(s, x); err != nil {
		t.Error(err)
	}
}

// The oldest strikes are forgotten, so that a hostile sender cannot fill memory with ids.
func TestStrikesAreBounded(t *testing.T) {
	s := open(t, snapshottest.NewDisk())
	for i := range wire.Index(40) {
		x := source(t, 4, 10+i, chunk)
		r, err := s.Accept(x.Header())
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Chunk(flipped(t, x, 0))
		_ = r.Close()
	}
	if n := s.Struck(4); n != 16 {
		t.Errorf("%d snapshots are remembered", n)
	}
}

// Chunks that are each what their checksum says, and not what the header's id says: a hostile sender, or a bug of one.
// Nothing of it is installed (the mutant adopt-unverified).
func TestWholeIsVerified(t *testing.T) {
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	x := source(t, 4, 12, 3*chunk)
	r, err := s.Accept(x.Header())
	if err != nil {
		t.Fatal(err)
	}
	if err := give(r, x, 1); err != nil {
		t.Fatal(err)
	}
	record := flipped(t, x, r.Offset())
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.BigEndian.PutUint32(record[12:], crc32.Update(crc32.Checksum(record[:12], table), table, record[16:]))
	if err := r.Chunk(record); err != nil {
		t.Fatal(err)
	}
	if _, err := finish(r, x); !errors.Is(err, snapshotstream.ErrCorrupt) {
		t.Errorf("finished with %v", err)
	}
	if paths := disk.Paths(); len(paths) != 0 || len(s.List(4)) != 0 {
		t.Errorf("held %v, files %v", s.List(4), paths)
	}
	if _, err := receive(s, x); err != nil {
		t.Errorf("an honest sender after it: %v", err)
	}
}

// Rot between the arrival of a chunk and the end is the disk's fault: it is found, and the transfer goes on before it.
func TestRotBeforeTheEnd(t *testing.T) {
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	x := source(t, 4, 12, 6*chunk)
	r, err := s.Accept(x.Header())
	if err != nil {
		t.Fatal(err)
	}
	if err := give(r, x, 6); err != nil {
		t.Fatal(err)
	}
	part := "/recv/4-" + x.Header().ID.String() + ".part"
	if err := disk.Flip(part, 8*(disk.Size(part)-3*(chunk+16)+200)); err != nil {
		t.Fatal(err)
	}
	if _, err := finish(r, x); !errors.Is(err, snapshotstream.ErrCorrupt) {
		t.Errorf("finished with %v", err)
	}
	if r, err = s.Accept(x.Header()); err != nil || r.Offset() != 3*chunk {
		t.Fatalf("goes on at %d: %v", r.Offset(), err)
	}
	if _, err := finish(r, x); err != nil {
		t.Error(err)
	}
}

func TestChunksOutOfPlace(t *testing.T) {
	x := source(t, 4, 12, 3*chunk+5)
	third, err := x.Chunk(nil, 2*chunk)
	if err != nil {
		t.Fatal(err)
	}
	last, err := x.Chunk(nil, 3*chunk)
	if err != nil {
		t.Fatal(err)
	}
	for name, record := range map[string][]byte{
		"a later one": third, "the last one": last, "nothing": nil, "a lead": third[:16], "too long": append(slices.Clone(third), 0),
	} {
		s := open(t, snapshottest.NewDisk())
		r, err := s.Accept(x.Header())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Chunk(record); !errors.Is(err, snapshotstream.ErrCorrupt) || r.Offset() != 0 {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := r.Finish(nil); !errors.Is(err, snapshotstream.ErrIncomplete) {
			t.Errorf("%s: finished with %v", name, err)
		}
		if err := give(r, x, 9); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Finish(make([]byte, 48)); !errors.Is(err, snapshotstream.ErrCorrupt) {
			t.Errorf("%s: no trailer: %v", name, err)
		}
	}
}

func TestNoSpaceToReceive(t *testing.T) {
	x := source(t, 4, 12, 200*chunk)
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	disk.Limit(200 * chunk) // not enough for lead and trailer
	var low *diskspace.LowError
	if _, err := s.Accept(x.Header()); !errors.As(err, &low) || len(disk.Paths()) != 0 {
		t.Errorf("no room: %v, files %v", err, disk.Paths())
	}
	disk.Limit(1 << 30)
	r, err := s.Accept(x.Header())
	if err != nil {
		t.Fatal(err)
	}
	if err := give(r, x, 30); err != nil {
		t.Fatal(err)
	}
	disk.Limit(40 * (chunk + 16)) // others fill the disk meanwhile
	if err := give(r, x, 20); !errors.As(err, &low) {
		t.Errorf("no room by and by: %v", err)
	}
	got := r.Offset()
	if err := r.Close(); err != nil || got < 30*chunk {
		t.Errorf("at %d: %v", got, err)
	}
	if _, err := s.Accept(x.Header()); !errors.As(err, &low) {
		t.Errorf("still no room: %v", err)
	}
	disk.Limit(1 << 30)
	if r, err = s.Accept(x.Header()); err != nil || r.Offset() != got {
		t.Fatalf("room again: goes on at %d, not %d: %v", r.Offset(), got, err)
	}
	disk.Limit(occupied(disk))
	if err := give(r, x, 1); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("full at once: %v", err)
	}
	disk.Limit(1 << 30)
	if _, err := finish(r, x); err != nil {
		t.Error(err)
	}
}

// occupied is what is on the disk: a limit that leaves nothing.
func occupied(disk *snapshottest.Disk) int64 {
	var sum int64
	for _, path := range disk.Paths() {
		sum += int64(disk.Size(path))
	}
	return sum
}
