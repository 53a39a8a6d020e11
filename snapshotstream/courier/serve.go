package courier

import (
	"context"
	"errors"
	"fmt"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// Serve takes in what node from sends on stream, and returns when that has ended; ctx is the stream's. It ends the stream.
func (c *Courier) Serve(ctx context.Context, from wire.NodeID, stream Stream) {
	defer c.finish(stream)
	if !c.begin() {
		return
	}
	defer c.running.Done()
	ctx, cancel := c.bound(ctx)
	defer cancel(nil)
	asked, want, err := c.answer(ctx, from, stream)
	if err != nil {
		return
	}
	c.receive(ctx, from, stream, &asked, want)
}

// answer reads what a sender begins with, and says which snapshot it is to send, or why none: that is its error, too.
func (c *Courier) answer(ctx context.Context, from wire.NodeID, stream Stream) (asked call, want offer, err error) {
	err = talk(ctx, stream, func() error {
		b, err := readFrame(stream)
		if err == nil {
			asked, err = parseCall(b)
		}
		if err == nil && asked.m.From != from {
			err = fmt.Errorf("node %d announces a snapshot for node %d: %w", from, asked.m.From, errFrame) // D58
		}
		if err == nil {
			want, err = c.consider(ctx, &asked)
		}
		answer := reply{index: want.index, no: refusal(asked.m.Group, err)}
		if err != nil {
			c.stats.refused.Add(1)
			if answer.no == nil {
				return err
			}
		}
		answer.stamp = c.cfg.Fence.Stamp()
		return errors.Join(err, writeFrame(stream, func(dst []byte) []byte { return appendReply(dst, &answer) }))
	})
	return asked, want, err
}

// refusal is what a sender is told of err: nothing of a connection that is gone, which could not tell.
func refusal(g wire.GroupID, err error) *wire.Error {
	var typed *wire.Error
	switch {
	case errors.As(err, &typed):
		return typed
	case errors.Is(err, errFrame):
		return &wire.Error{Code: wire.CodeBadRequest, Group: g, Detail: err.Error()}
	}
	return nil
}

// consider picks the snapshot to be taken in, or says why none is.
func (c *Courier) consider(ctx context.Context, asked *call) (offer, error) {
	g := asked.m.Group
	if err := c.cfg.Fence.AdmitAuthority(asked.stamp); err != nil {
		return offer{}, &wire.Error{Code: wire.CodeStaleEpoch, Group: g, Detail: err.Error()}
	}
	if c.isInstalling(g) {
		return offer{}, &wire.Error{Code: wire.CodeOverloaded, Group: g, Detail: "an earlier snapshot is being installed"}
	}
	if err := c.ask(ctx, asked.m); err != nil {
		return offer{}, err
	}
	return c.choose(ctx, asked), nil
}

// ask asks the engine, which has half of the time that the sender waits.
func (c *Courier) ask(ctx context.Context, m wire.Message) error {
	ctx, cancel := context.WithTimeout(ctx, greeting/2)
	defer cancel()
	err := c.cfg.Offer(ctx, m)
	if err == nil || wire.CodeOf(err) != 0 {
		return err
	}
	return &wire.Error{Code: wire.CodeInternal, Group: m.Group, Detail: err.Error(), Cause: err}
}

// choose picks the snapshot of which there is a part here, if that still gets the replica on, else the newest (N5).
func (c *Courier) choose(ctx context.Context, asked *call) offer {
	newest := asked.offers[0]
	for _, o := range asked.offers {
		if o.index > newest.index {
			newest = o
		}
	}
	part, _, ok := c.cfg.Store.Staged(asked.m.Group)
	if !ok || part.ID == newest.id {
		return newest
	}
	for _, o := range asked.offers {
		if o.id == part.ID && o.index == part.Index && c.ask(ctx, atop(asked.m, part.State)) == nil {
			return o
		}
	}
	return newest
}

// atop returns the announcement m of another snapshot: what that one ends with is as committed.
func atop(m wire.Message, s snapshotstream.State) wire.Message {
	m.Index, m.LogTerm = s.Index, s.Term
	return m
}

// receive takes in what was agreed on and has it installed.
func (c *Courier) receive(ctx context.Context, from wire.NodeID, stream Stream, asked *call, want offer) {
	g := asked.m.Group
	u := c.track(Transfer{Group: g, Peer: from, Direction: In, Index: want.index})
	h, err := snapshotstream.Receive(ctx, stream, c.cfg.Store, snapshotstream.ReceiveConfig{
		Pacer: c.in, Busy: c.cfg.Busy, Patience: c.cfg.Patience, Stamp: c.stamp, Admit: admit(c.cfg.Fence.AdmitAuthority),
		Wants: func(h snapshotstream.Header) error {
			if h.Group != g || h.Index != want.index || h.ID != want.id || h.Index == asked.m.Index && h.Term != asked.m.LogTerm {
				return fmt.Errorf("snapshot %d of group %d was agreed on, not %d of group %d", want.index, g, h.Index, h.Group)
			}
			u.size(h.BodyLength)
			return nil
		},
		Progress: func(_ snapshotstream.Header, durable uint64) {
			c.stats.received.Add(u.move(durable))
		},
	})
	switch {
	case err == nil || errors.Is(err, snapshotstream.ErrHeld):
		u.end(nil)
	case errors.Is(err, snapshotstream.ErrOvertaken): // a newer one came before, and was not installed
		u.end(err)
		newest, ok := c.cfg.Store.Newest(g)
		if !ok || c.ask(ctx, atop(asked.m, newest.State)) != nil { // it may have been announced before this node started only
			return
		}
		h = newest
	default:
		u.end(caused(ctx, err))
		return
	}
	c.install(from, h)
}

// install has the engine take over what the store holds. The machine takes its time, and neither the stream nor the sender is needed for
// that. What comes of a group meanwhile stays in the store; its leader offers it again.
func (c *Courier) install(from wire.NodeID, h snapshotstream.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.installing[h.Group] {
		return
	}
	c.installing[h.Group] = true
	c.running.Go(func() {
		if err := c.cfg.Install(c.life, h.Group, h.Snapshot()); err != nil && c.life.Err() == nil {
			c.emit(NotInstalled{Group: h.Group, Peer: from, Index: h.Index, Err: err})
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.installing, h.Group)
	})
}

func (c *Courier) isInstalling(g wire.GroupID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.installing[g]
}
