package flotilla_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"

	"flotilla"
	"flotilla/snapshotstream"
)

// durableCounter is a counter whose state leaves it.
type durableCounter struct{ counter }

type frozenCounter struct{ *bytes.Reader }

func (frozenCounter) Close() error { return nil }

func (c *durableCounter) Freeze() (flotilla.Frozen, error) {
	return frozenCounter{bytes.NewReader(binary.BigEndian.AppendUint64(nil, c.sum))}, nil
}

func (c *durableCounter) Restore(_ flotilla.Index, state io.Reader) error {
	b, err := io.ReadAll(state)
	if err != nil || len(b) != 8 {
		return errors.Join(err, errors.New("not a sum"))
	}
	c.sum = binary.BigEndian.Uint64(b)
	return nil
}

// TestSlowSnapshotsHaveSmallChunks: whoever takes a low rate is not cut off for the time that one chunk takes.
func TestSlowSnapshotsHaveSmallChunks(t *testing.T) {
	c := newDurableCluster(t, 1)
	change := c.change
	c.change = func(cfg *flotilla.Config) {
		change(cfg)
		cfg.SnapshotRate = 64 << 10
	}
	c.openAll()
	var out bytes.Buffer
	if h, _ := exportAnywhere(t, c, 1, &out); h.ChunkSize != 16<<10 {
		t.Errorf("chunks of %d bytes at %d a second", h.ChunkSize, 64<<10)
	}
}

// TestGroupExport: an export has everything that was acknowledged by any node before it, while writing goes on; a node that does not lead
// names the one that does; a machine without snapshots is a plain refusal. Group 0 is exported as well.
func TestGroupExport(t *testing.T) {
	c := newCluster(t, 3)
	c.change = func(cfg *flotilla.Config) {
		cfg.NewMachine = func(g flotilla.GroupID) flotilla.StateMachine {
			if g == 2 {
				return &counter{}
			}
			return &durableCounter{}
		}
	}
	c.openAll()
	want := uint64(0)
	for round := range 5 {
		var busy sync.WaitGroup
		for id := range c.hosts {
			want = add(t, c.hosts[id], 1, 1)
		}
		busy.Go(func() { add(t, c.hosts[1], 1, 0) })
		var out bytes.Buffer
		h, refused := exportAnywhere(t, c, 1, &out)
		busy.Wait()
		d, err := snapshotstream.NewDecoder(&out)
		check(t, err)
		state, err := io.ReadAll(d)
		check(t, err)
		if got := binary.BigEndian.Uint64(state); got != want || h.ID != d.Header().ID || h.Group != 1 || h.Epoch == 0 {
			t.Fatalf("round %d: the snapshot says %d, acknowledged is %d; %+v", round, got, want, h)
		}
		if refused > 2 {
			t.Fatalf("%d nodes of 3 refused", refused)
		}
	}
	var out bytes.Buffer
	if h, _ := exportAnywhere(t, c, 0, &out); h.Group != 0 || out.Len() == 0 {
		t.Fatalf("group 0: %+v", h)
	}
	add(t, c.hosts[1], 2, 1)
	for id := range c.hosts {
		_, err := c.hosts[id].Group(2).Export(t.Context(), io.Discard)
		if code := flotilla.CodeOf(err); code != flotilla.CodeNotLeader && code != flotilla.CodeBadRequest {
			t.Errorf("node %d exports a machine without snapshots: %v", id, err)
		}
	}
}

// exportAnywhere has the node that leads export a group, and counts those that refused in its favour.
func exportAnywhere(t *testing.T, c *testCluster, g flotilla.GroupID, w *bytes.Buffer) (h snapshotstream.Header, refused int) {
	t.Helper()
	for range 50 {
		refused = 0
		for id := range c.hosts {
			w.Reset()
			h, err := c.hosts[id].Group(g).Export(t.Context(), w)
			if err == nil {
				return h, refused
			}
			if code := flotilla.CodeOf(err); code != flotilla.CodeNotLeader && code != flotilla.CodeNoLeader {
				t.Fatal(err)
			}
			refused++
		}
		pause(t.Context())
	}
	t.Fatal("no node exports the group")
	return h, refused
}
