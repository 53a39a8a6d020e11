package rafttest

import (
	"errors"
	"strings"
	"testing"

	"flotilla/raft"
	"flotilla/raft/wire"
)

func TestDiskForgetsWhatIsNotSynced(t *testing.T) {
	d := NewDisk(abc)
	for token, u := range []wire.LogUpdate{entries(1, 1, 1), entries(2, 2), vote(3, 1)} {
		if err := d.Write(1+raft.Token(token), u); err != nil {
			t.Fatal(err)
		}
	}
	if _, last := d.Bounds(); last != 0 {
		t.Errorf("last index %d before any sync", last)
	}
	for range 2 {
		if _, _, err := d.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if lost := d.Crash(); lost != 1 {
		t.Errorf("lost %d writes, want 1", lost)
	}
	hard, _ := d.Restore()
	if term, err := d.Term(2); err != nil || term != 2 || hard.Term != 2 || hard.Vote != 0 {
		t.Errorf("term of entry 2: %d, %v; hard state %v", term, err, hard)
	}
}

func TestDiskReadsAsItsPortSays(t *testing.T) {
	d := NewDisk(abc)
	if err := d.Write(1, entries(1, 1, 1, 2, 2)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	d.compact(2)
	if first, last := d.Bounds(); first != 3 || last != 4 {
		t.Errorf("bounds %d, %d", first, last)
	}
	if term, err := d.Term(2); term != 1 || err != nil {
		t.Errorf("term at the border: %d, %v", term, err)
	}
	if _, err := d.Term(1); !errors.Is(err, wire.ErrCompacted) {
		t.Errorf("term below: %v", err)
	}
	if _, err := d.Entries(nil, 3, 6, 1<<20); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("entries above: %v", err)
	}
	if got, err := d.Entries(nil, 3, 5, 1); len(got) != 1 || err != nil {
		t.Errorf("entries within a byte: %v, %v", got, err)
	}
	errNoRead := errors.New("unreadable sector")
	d.Break(errNoRead)
	if _, err := d.Entries(nil, 3, 5, 1); !errors.Is(err, errNoRead) {
		t.Errorf("broken disk: %v", err)
	}
}

// The rules of wire.LogUpdate, each broken once (F9, F10).
func TestDiskRefusesIllegalWrites(t *testing.T) {
	noHard := entries(3, 2)
	noHard.SetHardState = false
	hole := entries(3, 2, 2)
	hole.Entries[1].Index = 9
	for _, c := range []struct {
		name  string
		token int
		u     wire.LogUpdate
		says  string
	}{
		{"token of the last write", 2, vote(2, 1), "token does not rise"},
		{"gap after what is queued", 3, entries(5, 2), "gap"},
		{"hole between entries", 3, hole, "not contiguous"},
		{"entries without a hard state", 3, noHard, "without a hard state"},
		{"term goes back", 3, vote(1, 0), "term goes back"},
		{"vote changes", 3, vote(2, 3), "vote of term 2 changes from 1 to 3"},
		{"commit beyond the log", 3, wire.LogUpdate{SetHardState: true, HardState: wire.HardState{Term: 2, Vote: 1, Commit: 9}}, "beyond the last entry"},
		{"commit goes back", 3, wire.LogUpdate{SetHardState: true, HardState: wire.HardState{Term: 2, Vote: 1}}, "commit goes back"},
		{"what is committed is overwritten", 3, entries(1, 2), "overwrites what is committed"},
	} {
		d := NewDisk(abc)
		first := entries(1, 1, 1)
		first.HardState.Commit = 1
		second := vote(2, 1)
		second.HardState.Commit = 1
		if err := errors.Join(d.Write(1, first), d.Write(2, second)); err != nil {
			t.Fatal(err)
		}
		if err := d.Write(raft.Token(c.token), c.u); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
}

// D65: the core must not touch entries that are on their way to the disk.
func TestDiskSeesEntriesChangeUnderWay(t *testing.T) {
	d := NewDisk(abc)
	u := entries(1, 1)
	if err := d.Write(1, u); err != nil {
		t.Fatal(err)
	}
	u.Entries[0].Term = 2
	if _, _, err := d.Sync(); err == nil {
		t.Error("a change under way went unseen")
	}
}
