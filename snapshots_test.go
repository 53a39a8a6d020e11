package flotilla_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flotilla"
	"flotilla/snapshotstream/courier"
)

// largeCounter is a counter whose state takes a while to be sent.
type largeCounter struct{ durableCounter }

func (c *largeCounter) Freeze() (flotilla.Frozen, error) {
	small, err := c.durableCounter.Freeze()
	if err != nil {
		return nil, err
	}
	sum, err := io.ReadAll(small.(frozenCounter))
	return frozenCounter{bytes.NewReader(append(sum, make([]byte, 1<<20)...))}, err
}

func (c *largeCounter) Restore(at flotilla.Index, state io.Reader) error {
	b, err := io.ReadAll(state)
	if err != nil || len(b) != 8+1<<20 {
		return errors.Join(err, errors.New("not a sum and what fills it up"))
	}
	return c.durableCounter.Restore(at, bytes.NewReader(b[:8]))
}

// lockedText is a log that is read while it is written.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedText) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// TestTransfersAreShown: a snapshot on its way stands in the status of both sides, and each of them tells listeners and its log once that it
// began and once how it ended.
func TestTransfersAreShown(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		logs := map[flotilla.NodeID]*lockedText{1: {}, 2: {}, 3: {}}
		c.change = func(cfg *flotilla.Config) {
			cfg.NewMachine = func(flotilla.GroupID) flotilla.StateMachine { return &largeCounter{} }
			cfg.Groups, cfg.SnapshotThreshold, cfg.SnapshotRate, cfg.SnapshotChunk = 1, 4<<10, 256<<10, 4<<10
			cfg.Logger = slog.New(slog.NewTextHandler(logs[cfg.NodeID], nil))
		}
		c.openAll()
		c.close(3)
		for range 500 {
			add(t, c.hosts[1], 1, 1)
		}
		eventually(t, "snapshots are made", func() bool {
			return c.hosts[1].Stats().Engine.SnapshotsMade > 0 && c.hosts[2].Stats().Engine.SnapshotsMade > 0
		})

		told := map[flotilla.NodeID]*[]flotilla.Event{}
		var listeners sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		receiver := c.open(3)
		for id, h := range c.hosts {
			events, heard := h.Events(ctx), &[]flotilla.Event{}
			told[id] = heard
			listeners.Go(func() {
				for e := range events {
					switch e.(type) {
					case courier.TransferStarted, courier.TransferEnded:
						*heard = append(*heard, e)
					}
				}
			})
		}
		in := awaitTransfer(t, receiver)
		sender := c.hosts[in.Peer]
		out := awaitTransfer(t, sender)
		if in.Direction != courier.In || in.Group != 1 || in.Done >= in.Total || in.Total != 8+1<<20 || time.Since(in.Since) > time.Minute {
			t.Errorf("the receiver shows %+v", in)
		}
		if out.Direction != courier.Out || out.Group != 1 || out.Peer != 3 || out.Index != in.Index || out.Total != in.Total {
			t.Errorf("the sender shows %+v, the receiver %+v", out, in)
		}
		eventually(t, "node 3 has it", func() bool { return receiver.Stats().Engine.SnapshotsInstalled > 0 })
		eventually(t, "both are done", func() bool { return len(receiver.Status().Transfers)+len(sender.Status().Transfers) == 0 })
		synctest.Wait()
		cancel()
		listeners.Wait()
		for id, peer := range map[flotilla.NodeID]flotilla.NodeID{3: in.Peer, in.Peer: 3} {
			d := map[bool]courier.Direction{true: courier.In, false: courier.Out}[id == 3]
			want := []flotilla.Event{
				courier.TransferStarted{Group: 1, Peer: peer, Direction: d, Index: in.Index, BytesTotal: in.Total},
				courier.TransferEnded{Group: 1, Peer: peer, Direction: d, Index: in.Index, BytesDone: in.Total, BytesTotal: in.Total},
			}
			if diff := cmp.Diff(want, *told[id], cmpopts.IgnoreFields(courier.TransferEnded{}, "Took")); diff != "" {
				t.Errorf("node %d tells (-want +got):\n%s", id, diff)
			}
			line := fmt.Sprintf(`group=1 peer=%d direction=%s index=%d bytes_before=0 bytes_`, peer, d, in.Index)
			for _, line := range []string{`level=INFO msg="snapshots: transfer started" ` + line + "total=", `level=INFO msg="snapshots: transfer ended" ` + line + "done="} {
				if n := logs[id].count(line); n != 1 {
					t.Errorf("node %d logs %s %d times", id, line, n)
				}
			}
			if n := logs[id].count("raft: snapshot sen"); n != 0 {
				t.Errorf("node %d logs orders to send beside what is sent", id)
			}
		}
	})
}

func awaitTransfer(t *testing.T, h *flotilla.Host) flotilla.Transfer {
	t.Helper()
	var found []flotilla.Transfer
	eventually(t, "some of a snapshot is through", func() bool {
		found = h.Status().Transfers
		return len(found) == 1 && found[0].Done > 0
	})
	return found[0]
}
