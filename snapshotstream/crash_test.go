package snapshotstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/snapshottest"
)

const crashSize = 9*chunk + 77

func crashBody(wire.Index) int { return crashSize }

// survivals are what a kill leaves, the worst of a power cut, and what chance leaves of one.
func survivals(seed uint64, n int) []snapshottest.Survival {
	list := []snapshottest.Survival{snapshottest.All, snapshottest.None}
	for i := range n {
		list = append(list, snapshottest.Torn(rand.New(rand.NewPCG(seed, uint64(i)))))
	}
	return list
}

// steps runs act on a fresh disk with the power cut in front of its n-th change, for every n, until it gets through.
// It returns the kinds of steps that a cut came in front of.
func steps(t *testing.T, prepare func(*snapshotstream.Store), act func(s *snapshotstream.Store) error, after func(step string, done bool, disk *snapshottest.Disk)) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	for n := 0; ; n++ {
		disk := snapshottest.NewDisk()
		s := open(t, disk)
		prepare(s)
		disk.CutAfter(n)
		err := act(s)
		if err != nil && !errors.Is(err, snapshottest.ErrCut) {
			t.Fatalf("cut after %d: %v", n, err)
		}
		step, cut := "the end", disk.Cut()
		if cut {
			all := disk.Steps()
			step = fmt.Sprintf("%d: %s", n, all[len(all)-1])
			seen[kindOf(all[len(all)-1])] = true
		}
		after(step, err == nil, disk)
		if !cut {
			return seen
		}
	}
}

// kindOf takes names apart: "sync .part".
func kindOf(step string) string {
	what, path, _ := strings.Cut(step, " ")
	if dot := strings.Index(path, "."); dot >= 0 {
		return what + " " + path[dot:]
	}
	return what + " " + path
}

// recovered starts after a cut, again and again with cuts at each change of the start itself, and checks what is there.
// finished says whether a start that is left alone finishes what was verified.
func recovered(t *testing.T, step string, cut *snapshottest.Disk, survives snapshottest.Survival) (s *snapshotstream.Store, disk *snapshottest.Disk, finished bool) {
	t.Helper()
	disk = cut.Restart(survives)
	for n := -1; ; n++ {
		disk.CutAfter(n)
		s, err := snapshotstream.Open(config(disk))
		if err != nil && !errors.Is(err, snapshottest.ErrCut) {
			t.Fatalf("%s: %v", step, err)
		}
		if err == nil {
			for _, done := range s.Recovered() {
				if done.Kind == snapshotstream.StepSetAside {
					t.Errorf("%s: a crash leaves a damaged snapshot: %v", step, done)
				}
				finished = finished || done.Kind == snapshotstream.StepAdopt
			}
			disk.CutAfter(-1)
			if err := checkStore(s, disk, 4, crashBody); err != nil {
				t.Errorf("%s: %v", step, err)
			}
			if n >= 0 {
				return s, disk, finished
			}
			disk = cut // the start that was left alone, once more with cuts
		}
		disk = disk.Restart(survives)
	}
}

// vouched starts after a kill, or after another kill in front of the n-th change of a start, and once more after the power went right then:
// what the last start before that told of is there.
func vouched(t *testing.T, step string, disk *snapshottest.Disk) {
	t.Helper()
	for n := -1; n < 8; n++ {
		killed := disk.Kill()
		killed.CutAfter(n)
		s, err := snapshotstream.Open(config(killed))
		if errors.Is(err, snapshottest.ErrCut) {
			killed = killed.Kill()
			s, err = snapshotstream.Open(config(killed))
		}
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		told := indexes(s, 4)
		left := indexes(open(t, killed.Restart(snapshottest.None)), 4)
		if !slices.Equal(told, left) {
			t.Errorf("%s, %d: told of %v, the power cut leaves %v", step, n, told, left)
		}
	}
}

// P37, D8, D14: whenever the power goes while a snapshot is made, the old ones are there, or the new one and the newest
// of the old.
func TestPowerCutWhileMaking(t *testing.T) {
	seen := steps(t, func(s *snapshotstream.Store) {
		mustMake(t, s, 4, 10, crashSize)
		mustMake(t, s, 4, 11, crashSize)
	}, func(s *snapshotstream.Store) error {
		_, err := make1(s, 4, 12, bodyOf(12, crashSize))
		return err
	}, func(step string, done bool, disk *snapshottest.Disk) {
		for i, survives := range survivals(7, 6) {
			s, _, _ := recovered(t, fmt.Sprintf("%s, survival %d", step, i), disk, survives)
			got := indexes(s, 4)
			isNew, isOld := slices.Equal(got, []wire.Index{12, 11}), slices.Equal(got, []wire.Index{11, 10})
			if !isNew && (done || !isOld) {
				t.Errorf("%s, survival %d: held %v", step, i, got)
			}
		}
		vouched(t, step, disk)
	})
	for _, want := range []string{"create .snap.tmp", "write .snap.tmp", "sync .snap.tmp", "rename .snap", "syncdir /snap/4", "remove .snap"} {
		if !seen[want] {
			t.Errorf("no cut in front of %q: %v", want, seen)
		}
	}
}

// P37, N5, D8, D14: whenever the power goes while a snapshot is received and installed, the old ones are there, or the
// new one too; what was noted as durable is; the transfer goes on there and ends in the same bytes.
func TestPowerCutWhileReceiving(t *testing.T) {
	x := source(t, 4, 12, crashSize)
	var noted uint64
	finished := 0 // by a start
	seen := steps(t, func(s *snapshotstream.Store) {
		noted = 0
		mustMake(t, s, 4, 10, crashSize)
		mustMake(t, s, 4, 11, crashSize)
	}, func(s *snapshotstream.Store) error {
		r, err := s.Accept(x.Header())
		if err != nil {
			return err
		}
		for r.Offset() < crashSize {
			if err := give(r, x, 1); err != nil {
				return err
			}
			noted = r.Durable()
		}
		_, err = finish(r, x)
		return err
	}, func(step string, done bool, disk *snapshottest.Disk) {
		for i, survives := range survivals(8, 6) {
			step := fmt.Sprintf("%s, survival %d", step, i)
			s, disk, did := recovered(t, step, disk, survives)
			if did {
				finished++
			}
			if got := indexes(s, 4); !slices.Equal(got, []wire.Index{12, 11}) {
				if done || !slices.Equal(got, []wire.Index{11, 10}) {
					t.Errorf("%s: held %v", step, got)
				}
				goOn(t, step, s, x, noted)
			}
			if got := indexes(s, 4); !slices.Equal(got, []wire.Index{12, 11}) {
				t.Errorf("%s: held %v in the end", step, got)
			}
			if err := checkStore(s, disk, 4, crashBody); err != nil {
				t.Errorf("%s: in the end: %v", step, err)
			}
		}
		vouched(t, step, disk)
	})
	if finished == 0 {
		t.Error("no start ever finished what was verified")
	}
	for _, want := range []string{
		"create .part", "write .part", "sync .part", "create .mark", "write .mark", "sync .mark", "syncdir /recv",
		"rename .snap", "syncdir /snap/4", "remove .mark", "remove .snap",
	} {
		if !seen[want] {
			t.Errorf("no cut in front of %q: %v", want, seen)
		}
	}
}

// P37: the same for the first snapshot of a group, whose directory there is none yet, and which may have been verified when the power
// went in front of making that. A start that does not get over it would keep the whole node from starting.
func TestPowerCutWhileReceivingTheFirst(t *testing.T) {
	x := source(t, 4, 12, crashSize)
	seen := steps(t, func(*snapshotstream.Store) {}, func(s *snapshotstream.Store) error {
		_, err := receive(s, x)
		return err
	}, func(step string, done bool, disk *snapshottest.Disk) {
		for i, survives := range survivals(9, 6) {
			step := fmt.Sprintf("%s, survival %d", step, i)
			s, disk, _ := recovered(t, step, disk, survives)
			if got := indexes(s, 4); len(got) == 0 && !done {
				goOn(t, step, s, x, 0)
			}
			if got := indexes(s, 4); !slices.Equal(got, []wire.Index{12}) {
				t.Errorf("%s: held %v in the end", step, got)
			}
			if err := checkStore(s, disk, 4, crashBody); err != nil {
				t.Errorf("%s: in the end: %v", step, err)
			}
		}
		vouched(t, step, disk)
	})
	for _, want := range []string{"mkdir /snap/4", "syncdir /snap", "rename .snap"} {
		if !seen[want] {
			t.Errorf("no cut in front of %q: %v", want, seen)
		}
	}
}

// P37, D18: the same snapshot comes once more after its group had left the node and come back. The mark of the first time, which says that
// everything was verified, must not stand beside the second time's part.
func TestPowerCutWhileReceivingAgain(t *testing.T) {
	x := source(t, 4, 12, crashSize)
	steps(t, func(s *snapshotstream.Store) {
		if _, err := receive(s, x); err != nil {
			t.Fatal(err)
		}
		if err := s.Drop(4); err != nil {
			t.Fatal(err)
		}
	}, func(s *snapshotstream.Store) error {
		_, err := receive(s, x)
		return err
	}, func(step string, done bool, disk *snapshottest.Disk) {
		for i, survives := range survivals(10, 20) {
			step := fmt.Sprintf("%s, survival %d", step, i)
			s, disk, _ := recovered(t, step, disk, survives)
			if len(indexes(s, 4)) == 0 && !done {
				goOn(t, step, s, x, 0)
			}
			if err := checkStore(s, disk, 4, crashBody); err != nil {
				t.Errorf("%s: in the end: %v", step, err)
			}
		}
	})
}

// goOn offers x again and demands that it goes on where it was noted at least.
func goOn(t *testing.T, step string, s *snapshotstream.Store, x *snapshotstream.Snapshot, noted uint64) {
	t.Helper()
	r, err := s.Accept(x.Header())
	if err != nil {
		t.Fatalf("%s: %v", step, err)
	}
	if r.Offset() < noted {
		t.Errorf("%s: %d bytes were noted, it goes on at %d", step, noted, r.Offset())
	}
	if h, err := finish(r, x); err != nil || h.ID != x.Header().ID {
		t.Errorf("%s: %v", step, err)
	}
}

// A killed receiver loses nothing that it had written, noted or not: bytes that were in flight are what a kill costs.
func TestKillLosesNothingWritten(t *testing.T) {
	x := source(t, 4, 12, 200*chunk) // several chunks a window
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	for n := range 200 {
		r, err := s.Accept(x.Header())
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Offset(); got != uint64(n)*chunk {
			t.Fatalf("after %d chunks it goes on at %d", n, got)
		}
		if err := give(r, x, 1); err != nil {
			t.Fatal(err)
		}
		disk = disk.Restart(snapshottest.All)
		s = open(t, disk)
	}
	if _, err := receive(s, x); err != nil {
		t.Error(err)
	}
}

// A disk that lost what it said it had is found out before the transfer goes on: the mark goes back, as far as it has to.
func TestMarkGoesBack(t *testing.T) {
	x := source(t, 4, 12, 20*chunk)
	for _, first := range []uint64{0, 7, 18, 19} {
		disk := snapshottest.NewDisk()
		s := open(t, disk)
		r, err := s.Accept(x.Header())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(give(r, x, 20), r.Close()); err != nil {
			t.Fatal(err)
		}
		part := fmt.Sprintf("/recv/4-%s.part", x.Header().ID)
		start := disk.Size(part) - 20*(chunk+16)
		if err := disk.Flip(part, 8*(start+int(first)*(chunk+16)+100)); err != nil {
			t.Fatal(err)
		}
		s = open(t, disk)
		if r, err = s.Accept(x.Header()); err != nil {
			t.Fatal(err)
		}
		if r.Offset() != first*chunk || r.Durable() != first*chunk {
			t.Errorf("chunk %d rotted, it goes on at %d, noted %d", first, r.Offset(), r.Durable())
		}
		if _, err := finish(r, x); err != nil {
			t.Error(err)
		}
	}
}

// After a failed sync nothing is known of what was synced before: the part goes, and the transfer begins anew.
func TestFailedSync(t *testing.T) {
	x := source(t, 4, 12, 20*chunk)
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	r, err := s.Accept(x.Header())
	if err != nil {
		t.Fatal(err)
	}
	if err := give(r, x, 5); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken disk")
	disk.FailSync(fmt.Sprintf("/recv/4-%s.part", x.Header().ID), broken)
	if err := give(r, x, 1); !errors.Is(err, broken) {
		t.Errorf("the disk broke: %v", err)
	}
	if err := errors.Join(r.Close(), checkStore(s, disk, 4, crashBody)); err != nil || len(disk.Paths()) != 0 {
		t.Errorf("%v: %v", disk.Paths(), err)
	}
	if r, err = s.Accept(x.Header()); err != nil || r.Offset() != 0 {
		t.Fatalf("begins at %d: %v", r.Offset(), err)
	}
	if _, err := finish(r, x); err != nil {
		t.Error(err)
	}
}

// Files that are not ours stay, and those that nothing can be made of go.
func TestLeftovers(t *testing.T) {
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	mustMake(t, s, 4, 10, crashSize)
	id := strings.Repeat("ab", 16)
	ours := []string{"/snap/4/00000000000000000011-00000000000000000003.snap.tmp", "/recv/4-" + id + ".part", "/recv/5-" + id + ".mark"}
	foreign := []string{"/snap/4/readme", "/recv/readme", "/recv/4-" + strings.ToUpper(id) + ".part"}
	for _, path := range slices.Concat(ours, foreign) {
		f, err := disk.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("rubbish"), 0); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, disk)
	if len(s.Recovered()) != len(ours) {
		t.Errorf("the start did %v", s.Recovered())
	}
	for _, path := range ours {
		if disk.Size(path) >= 0 {
			t.Errorf("%s is still there", path)
		}
	}
	for _, path := range foreign {
		if disk.Size(path) < 0 {
			t.Errorf("%s is gone", path)
		}
	}
}

// A snapshot of a later program is not ours to touch: the start says so and changes nothing.
func TestLaterVersionStopsTheStart(t *testing.T) {
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	h := mustMake(t, s, 4, 10, crashSize)
	path := disk.Paths()[0]
	f, err := disk.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	later := snapshotstream.EncodeHeaderOfVersion(h, 2)
	if _, err := f.WriteAt(later, 0); err != nil {
		t.Fatal(err)
	}
	var version *snapshotstream.VersionError
	if _, err := snapshotstream.Open(config(disk)); !errors.As(err, &version) || version.Version != 2 {
		t.Errorf("opened with %v", err)
	}
	got := make([]byte, len(later))
	if _, err := f.ReadAt(got, 0); err != nil && err != io.EOF || !bytes.Equal(got, later) {
		t.Errorf("the file was changed: %v", err)
	}
}

// D6, D7: whatever bytes stand in what was written last, the mark or the part, cut at any byte or with any bit of it
// flipped: the start goes on where chunks are good, or begins anew, and the end is the snapshot.
func TestGarbledLeftovers(t *testing.T) {
	x := source(t, 4, 12, 5*chunk)
	before := func() (*snapshottest.Disk, string, string) {
		disk := snapshottest.NewDisk()
		r, err := open(t, disk).Accept(x.Header())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(give(r, x, 3), r.Close()); err != nil {
			t.Fatal(err)
		}
		stem := "/recv/4-" + x.Header().ID.String()
		return disk, stem + ".mark", stem + ".part"
	}
	goesOn := func(what string, disk *snapshottest.Disk, least uint64) {
		t.Helper()
		s := open(t, disk)
		r, err := s.Accept(x.Header())
		if err != nil || r.Offset() < least || r.Offset() > 3*chunk {
			t.Fatalf("%s: goes on at %d: %v", what, r.Offset(), err)
		}
		if _, err := finish(r, x); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := checkStore(s, disk, 4, func(wire.Index) int { return 5 * chunk }); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	_, mark, part := before()
	disk, _, _ := before()
	size := disk.Size(mark)
	for bit := range 8 * size {
		disk, _, _ := before()
		if err := disk.Flip(mark, bit); err != nil {
			t.Fatal(err)
		}
		goesOn(fmt.Sprintf("bit %d of the mark", bit), disk, 3*chunk) // the other slot is one older, and scanning finds the rest
	}
	for n := range size {
		disk, _, _ := before()
		if err := disk.Truncate(mark, n); err != nil {
			t.Fatal(err)
		}
		goesOn(fmt.Sprintf("mark of %d bytes", n), disk, 0)
	}
	size = disk.Size(part)
	rng := rand.New(rand.NewPCG(6, 7))
	for range 500 {
		disk, _, _ := before()
		if err := errors.Join(disk.Truncate(part, rng.IntN(size+1))); err != nil {
			t.Fatal(err)
		}
		goesOn("a part that was cut", disk, 0)
		disk, _, _ = before()
		if err := disk.Flip(part, rng.IntN(8*size)); err != nil {
			t.Fatal(err)
		}
		goesOn("a part with a flipped bit", disk, 0)
	}
}
