package snapshotstream_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/snapshottest"
)

// D5: everything that can be done to one group's snapshots is done at once, and to another's beside it: whatever can be
// read is whole, nothing else than what the documentation names is refused, and in the end the directory is in order.
func TestAllAtOnce(t *testing.T) {
	disk := snapshottest.NewDisk()
	s := open(t, disk)
	size := func(i wire.Index) int { return int(i) * 100 }
	sources := map[wire.Index]*snapshotstream.Snapshot{}
	for i := wire.Index(10); i < 40; i++ {
		sources[i] = source(t, 4, i, size(i))
	}
	expected := []error{
		snapshotstream.ErrHeld, snapshotstream.ErrOvertaken, snapshotstream.ErrBusy, snapshotstream.ErrTakenOver, snapshotstream.ErrNotHeld,
	}
	var all sync.WaitGroup
	errs := make(chan error, 1000)
	for worker := range 6 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 4))
			for range 60 {
				i := 10 + wire.Index(rng.IntN(30))
				var err error
				switch what := rng.IntN(20); {
				case what == 0 && worker == 0:
					err = s.Drop(4)
				case what < 6:
					_, err = make1(s, 4, i, bodyOf(i, size(i)))
				case what < 14:
					_, err = receive(s, sources[i])
				default:
					if h, ok := s.Newest(4); ok {
						_, err = read(s, h)
					}
				}
				for _, e := range expected {
					if errors.Is(err, e) {
						err = nil
					}
				}
				if err != nil {
					errs <- fmt.Errorf("worker %d at %d: %w", worker, i, err)
				}
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	if err := checkStore(s, disk, 4, size); err != nil {
		t.Error(err)
	}
	restarted := disk.Restart(snapshottest.All)
	if err := checkStore(open(t, restarted), restarted, 4, size); err != nil {
		t.Error(err)
	}
}

// BenchmarkTransfer is a session over a pipe from one directory to another, making and verifying included.
func BenchmarkTransfer(b *testing.B) {
	const size = 64 << 20
	from, err := snapshotstream.Open(snapshotstream.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	h, err := make1(from, 4, 12, bodyOf(12, size))
	if err != nil {
		b.Fatal(err)
	}
	x := mustOpen(b, from, h)
	to, err := snapshotstream.Open(snapshotstream.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		res := transfer(b.Context(), x, to, snapshotstream.SendConfig{}, snapshotstream.ReceiveConfig{}, nil, nil)
		if err := errors.Join(res.send, res.recv, to.Drop(4)); err != nil {
			b.Fatal(err)
		}
	}
}
