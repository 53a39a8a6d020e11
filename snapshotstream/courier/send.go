package courier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// greeting bounds what comes before the session: opening a stream, two frames, and a turn of the receiver's loop.
const greeting = 10 * time.Second

// Send implements multiraft.Courier. Neither moved nor done may wait for Close. Of done's errors an ErrCorrupt says that the file here is
// damaged, a *snapshotstream.RefusedError or a *wire.Error what the receiver said.
func (c *Courier) Send(ctx context.Context, m wire.Message, least wire.Index, moved func(), done func(error)) {
	if !c.begin() {
		done(errClosed)
		return
	}
	go func() {
		defer c.running.Done()
		ctx, cancel := c.bound(ctx)
		err := c.send(ctx, m, least, moved)
		cancel(nil)
		done(err)
	}()
}

func (c *Courier) send(ctx context.Context, m wire.Message, least wire.Index, moved func()) error {
	opening, cancel := context.WithTimeoutCause(ctx, greeting, errors.New("no stream in time"))
	stream, err := c.cfg.Open(opening, m.To)
	cancel()
	if err != nil {
		return fmt.Errorf("open a stream to node %d: %w", m.To, err)
	}
	defer c.finish(stream)
	x, err := c.agree(ctx, stream, m, least)
	if err != nil {
		return err
	}
	defer x.Close()
	h := x.Header()
	u := c.track(Transfer{Group: m.Group, Peer: m.To, Direction: Out, Index: h.Index, Total: h.BodyLength})
	counted := uint64(0)
	count := func(bytes uint64) {
		c.stats.sent.Add(bytes - counted)
		counted = bytes
	}
	sent, err := snapshotstream.Send(ctx, stream, x, snapshotstream.SendConfig{
		Pacer: c.out, Busy: c.cfg.Busy, Patience: c.cfg.Patience, Stamp: c.stamp, Admit: admit(c.cfg.Fence.Admit),
		Progress: func(durable uint64) {
			u.move(durable)
			count(durable - u.x.Before)
			moved()
		},
	})
	count(sent.Bytes) // with what was under way when it ended
	err = c.ended(ctx, x, err)
	u.end(err)
	return err
}

// agree finds out which snapshot the receiver would like, and opens it.
func (c *Courier) agree(ctx context.Context, stream Stream, m wire.Message, least wire.Index) (*snapshotstream.Snapshot, error) {
	say := call{m: m}
	for _, h := range c.cfg.Store.List(m.Group) {
		if h.Index >= least && h.Index <= m.Index && len(say.offers) < maxOffers {
			say.offers = append(say.offers, offer{index: h.Index, id: h.ID})
		}
	}
	if len(say.offers) == 0 {
		return nil, fmt.Errorf("send snapshot %d of group %d: %w", m.Index, m.Group, snapshotstream.ErrNotHeld)
	}
	var answer reply
	err := talk(ctx, stream, func() error {
		say.stamp = c.cfg.Fence.Stamp()
		if err := writeFrame(stream, func(dst []byte) []byte { return appendCall(dst, &say) }); err != nil {
			return err
		}
		b, err := readFrame(stream)
		if err != nil {
			return err
		}
		answer, err = parseReply(b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("offer snapshots of group %d to node %d: %w", m.Group, m.To, err)
	}
	// A refusal is heard first: its stamp may be what this node has missed.
	if err := c.cfg.Fence.Admit(answer.stamp); err != nil {
		return nil, fmt.Errorf("answer of node %d: %w", m.To, err)
	}
	if answer.no != nil {
		c.stats.refused.Add(1)
		return nil, answer.no
	}
	for _, o := range say.offers {
		if o.index == answer.index {
			return c.cfg.Store.Open(m.Group, o.index)
		}
	}
	return nil, fmt.Errorf("node %d wants snapshot %d of group %d, which was not offered: %w", m.To, answer.index, m.Group, snapshotstream.ErrPeer)
}

// talk runs f, which reads and writes, within the time for a greeting and within ctx.
func talk(ctx context.Context, stream Stream, f func() error) error {
	if err := stream.SetDeadline(time.Now().Add(greeting)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = stream.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return caused(ctx, f())
}

// caused says of an error that it came about because ctx has ended, if so.
func caused(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// ended looks at how a session has ended. Of the errors only damage to the file here is an ErrCorrupt: it is set aside.
func (c *Courier) ended(ctx context.Context, x *snapshotstream.Snapshot, err error) error {
	if errors.Is(err, snapshotstream.ErrCorrupt) {
		return errors.Join(err, c.cfg.Store.SetAside(x.Header()))
	}
	return caused(ctx, err)
}
