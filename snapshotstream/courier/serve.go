package courier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// Serve takes in what node from sends on stream, and returns when that has ended; ctx is the stream's. It closes the stream.
func (c *Courier) Serve(ctx context.Context, from wire.NodeID, stream Stream) {
	defer stream.Close()
	if !c.begin() {
		return
	}
	defer c.running.Done()
	ctx, cancel := c.bound(ctx)
	defer cancel(nil)
	if g, err := c.serve(ctx, from, stream); err != nil && c.cfg.Failed != nil && c.life.Err() == nil {
		c.cfg.Failed(from, g, err)
	}
}

func (c *Courier) serve(ctx context.Context, from wire.NodeID, stream Stream) (wire.GroupID, error) {
	var asked call
	var want offer
	err := talk(ctx, stream, func() error {
		b, err := readFrame(stream)
		if err != nil {
			return err
		}
		if asked, err = parseCall(b); err != nil {
			return err
		}
		if asked.m.From != from {
			return fmt.Errorf("node %d announces a snapshot for node %d: %w", from, asked.m.From, errFrame) // D58
		}
		answer := reply{}
		if err := c.consider(ctx, &asked); err != nil {
			answer.no = err
		} else {
			want = c.choose(&asked)
			answer.index = want.index
		}
		answer.stamp = c.cfg.Fence.Stamp()
		if err := writeFrame(stream, func(dst []byte) []byte { return appendReply(dst, &answer) }); err != nil || answer.no == nil {
			return err
		}
		return answer.no
	})
	if err != nil {
		return asked.m.Group, err
	}
	return asked.m.Group, c.receive(ctx, from, stream, &asked, want)
}

// consider says why a snapshot is not to be taken in, nil if it is.
func (c *Courier) consider(ctx context.Context, asked *call) *wire.Error {
	if err := c.cfg.Fence.AdmitAuthority(asked.stamp); err != nil {
		c.stats.refused.Add(1)
		return &wire.Error{Code: wire.CodeStaleEpoch, Group: asked.m.Group, Detail: err.Error()}
	}
	err := c.cfg.Offer(ctx, asked.m)
	if err == nil {
		return nil
	}
	c.stats.refused.Add(1)
	var typed *wire.Error
	if errors.As(err, &typed) {
		return typed
	}
	return &wire.Error{Code: wire.CodeInternal, Group: asked.m.Group, Detail: err.Error()}
}

// choose picks the snapshot of which there is a part here, else the newest (N5).
func (c *Courier) choose(asked *call) offer {
	if part, _, ok := c.cfg.Store.Staged(asked.m.Group); ok {
		for _, o := range asked.offers {
			if o.id == part.ID {
				return o
			}
		}
	}
	newest := asked.offers[0]
	for _, o := range asked.offers {
		if o.index > newest.index {
			newest = o
		}
	}
	return newest
}

// receive takes in what was agreed on and has it installed.
func (c *Courier) receive(ctx context.Context, from wire.NodeID, stream Stream, asked *call, want offer) error {
	g, last := asked.m.Group, uint64(0)
	row := c.table.add(Transfer{Group: g, Peer: from, Index: want.index, Since: time.Now()})
	defer c.table.remove(row)
	begun := false
	h, err := snapshotstream.Receive(ctx, stream, c.cfg.Store, snapshotstream.ReceiveConfig{
		Patience: c.cfg.Patience, Stamp: c.stamp, Admit: admit(c.cfg.Fence.AdmitAuthority),
		Wants: func(h snapshotstream.Header) error {
			if h.Group != g || h.Index != want.index || h.ID != want.id || h.Index > asked.m.Index {
				return fmt.Errorf("snapshot %d of group %d was agreed on, not %d of group %d", want.index, g, h.Index, h.Group)
			}
			c.table.size(row, h.BodyLength)
			return nil
		},
		Progress: func(_ snapshotstream.Header, durable uint64) {
			if !begun {
				begun, last = true, durable
				if durable > 0 {
					c.stats.resumed.Add(1)
				}
			}
			c.stats.received.Add(durable - min(last, durable))
			last = durable
			c.table.move(row, durable)
		},
	})
	state := h.Snapshot()
	switch {
	case err == nil || errors.Is(err, snapshotstream.ErrHeld):
	case errors.Is(err, snapshotstream.ErrOvertaken): // a newer one came before, and may not be installed
		newest, ok := c.cfg.Store.Newest(g)
		if !ok {
			return err
		}
		state = newest.Snapshot()
	default:
		return err
	}
	// Not with the stream's context: the snapshot is here, whatever becomes of the connection.
	if err := c.cfg.Install(c.life, g, state); err != nil {
		return fmt.Errorf("install snapshot %d of group %d: %w", state.Index, g, err)
	}
	return nil
}
