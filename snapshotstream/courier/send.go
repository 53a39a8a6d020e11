package courier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// greeting bounds what comes before the session: opening a stream, two frames, and a turn of the receiver's loop.
const greeting = 10 * time.Second

// Send implements multiraft.Courier.
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
	defer stream.Close()
	x, err := c.agree(ctx, stream, m, least)
	if err != nil {
		return err
	}
	defer x.Close()
	h := x.Header()
	row := c.table.add(Transfer{Group: m.Group, Peer: m.To, Out: true, Index: h.Index, Total: h.BodyLength, Since: time.Now()})
	defer c.table.remove(row)
	sent, err := snapshotstream.Send(ctx, &counted{Stream: stream, c: c, moved: moved}, x, snapshotstream.SendConfig{
		Pacer: c.pacer, Patience: c.cfg.Patience, Stamp: c.stamp, Admit: admit(c.cfg.Fence.Admit),
		Progress: func(durable uint64) {
			c.table.move(row, durable)
			moved()
		},
	})
	if sent.From > 0 {
		c.stats.resumed.Add(1)
	}
	return c.damaged(x, err)
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
	err := f()
	return cmp.Or(context.Cause(ctx), err)
}

// damaged looks, after an error that speaks of damage, whether it is the file here: then it is set aside and the error says
// snapshotstream.ErrCorrupt. Else the damage was on the way, and the snapshot is worth another try.
func (c *Courier) damaged(x *snapshotstream.Snapshot, err error) error {
	if !errors.Is(err, snapshotstream.ErrCorrupt) {
		return err
	}
	body, bad := x.Body()
	if bad == nil {
		_, bad = io.Copy(io.Discard, body)
	}
	if errors.Is(bad, snapshotstream.ErrCorrupt) {
		return errors.Join(bad, c.cfg.Store.SetAside(x.Header()))
	}
	return fmt.Errorf("damaged on the way: %s", err.Error())
}

// counted is a stream whose bytes are counted, and which gives way.
type counted struct {
	Stream
	c     *Courier
	moved func()
}

// Write implements io.Writer.
func (s *counted) Write(p []byte) (int, error) {
	if s.c.cfg.Busy != nil && s.c.cfg.Busy() {
		s.c.pacer.SlowDown()
	}
	n, err := s.Stream.Write(p)
	s.c.stats.sent.Add(uint64(n))
	return n, err
}
