package logstoretest

import (
	"errors"
	"testing"

	"flotilla/raft/wire"
)

// memoryHarness keeps the store's durable part between lives.
func memoryHarness(*testing.T) *Harness {
	m := NewMemory()
	return &Harness{
		Open:  func(testing.TB) Store { m = m.Crash(); return m },
		Crash: func(_ testing.TB, s Store) { m = s.(*Memory).Crash() },
		Check: func(testing.TB) {},
	}
}

func TestMemoryConforms(t *testing.T) { Run(t, memoryHarness) }

func started(t *testing.T) *Memory {
	m := NewMemory()
	must(t, m.Commit([]wire.LogUpdate{{Group: 1, Create: true, Membership: three}, put(1, entries(1, 1, 1)...)}))
	return m
}

func TestFailNext(t *testing.T) { // D20
	for fate, want := range map[Fate]wire.Index{Lost: 1, Kept: 2} {
		m := started(t)
		cause := errors.New("EIO")
		m.FailNext(cause, fate)
		err := m.Commit([]wire.LogUpdate{put(1, entries(2, 1, 1)...)})
		if !errors.Is(err, wire.ErrFenced) || !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
		if err := m.Commit([]wire.LogUpdate{{Group: 1, CompactTo: 1}}); !errors.Is(err, wire.ErrFenced) {
			t.Errorf("commit after a failed one: %v", err)
		}
		if _, last := m.Bounds(1); last != 1 {
			t.Errorf("failed commit is visible: last %d", last)
		}
		if _, last := m.Crash().Bounds(1); last != want {
			t.Errorf("fate %v: last %d after the restart, want %d", fate, last, want)
		}
	}
}

func TestBlockNext(t *testing.T) { // D9, D21
	m := started(t)
	gate := m.BlockNext()
	done := make(chan error, 1)
	go func() { done <- m.Commit([]wire.LogUpdate{put(1, entries(2, 1, 1)...)}) }()
	<-gate.Entered()
	if _, last := m.Bounds(1); last != 1 {
		t.Errorf("blocked commit is visible")
	}
	gate.Release()
	must(t, <-done)
	if _, last := m.Crash().Bounds(1); last != 2 {
		t.Errorf("released commit is lost")
	}
}

func TestHoldSyncs(t *testing.T) { // D11
	m := started(t)
	m.HoldSyncs()
	must(t, m.Commit([]wire.LogUpdate{put(1, entries(2, 1, 1)...)}))
	if _, last := m.Bounds(1); last != 2 || m.Unsynced() != 1 {
		t.Errorf("last %d, unsynced %d", last, m.Unsynced())
	}
	if _, last := m.Crash().Bounds(1); last != 1 {
		t.Errorf("the disk did not lie")
	}
	m = started(t)
	m.HoldSyncs()
	must(t, m.Commit([]wire.LogUpdate{put(1, entries(2, 1, 1)...)}))
	m.Sync()
	if _, last := m.Crash().Bounds(1); last != 2 {
		t.Errorf("synced commit is lost")
	}
}
