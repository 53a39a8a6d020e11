package courier

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"flotilla/epoch"
	"flotilla/quictransport"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// Stream is a connection of its own to another node: a *quictransport.Stream.
type Stream interface {
	// Close ends both halves: what was written still arrives.
	io.ReadWriteCloser
	SetDeadline(t time.Time) error
	// Reset gives both halves up, and has the peer hear why.
	Reset(why quictransport.Reason)
}

// Config is what a Courier is made of.
type Config struct {
	Store *snapshotstream.Store
	// Open opens a stream to a node; ctx bounds the opening.
	Open func(ctx context.Context, to wire.NodeID) (Stream, error)
	// Fence is the node's.
	Fence *epoch.Holder
	// Rate is in bytes per second, over all transfers from here, and as much again over all to here; 0 is 32 MiB/s.
	Rate int64
	// Busy says that something more urgent waits here, which halves the rate for a while (N6); nil is never.
	Busy func() bool
	// Offer says whether a snapshot that m announces is to be taken in, Install that one is here, whole and durable. They are
	// multiraft.Engine's OfferSnapshot and InstallSnapshot, and end soon after ctx.
	Offer   func(ctx context.Context, m wire.Message) error
	Install func(ctx context.Context, g wire.GroupID, s wire.Snapshot) error
	// Events is told what happens, by many goroutines; it must not block. Nil is not told. What a peer may bring about as often
	// as it likes, before both sides have agreed on a snapshot, is counted only.
	Events func(Event)
	// Patience is how long a peer may take for a step; 0 is 30 s (D72).
	Patience time.Duration
}

// defaultRate: bulk at this rate does not slow the control lane down (performance, known costs).
const defaultRate = 32 << 20

// errClosed is why everything under way ends.
var errClosed = errors.New("courier closed")

// Courier is safe for concurrent use.
type Courier struct {
	cfg Config
	// out and in pace what leaves and what comes: four nodes that send to one do not add up at its disk.
	out, in *snapshotstream.Pacer
	life    context.Context
	end     context.CancelCauseFunc
	table   table
	running sync.WaitGroup

	mu         sync.Mutex // guards what follows
	closed     bool
	installing map[wire.GroupID]bool

	stats struct{ sent, received, resumed, refused atomic.Uint64 }
}

// Stats counts since New.
type Stats struct {
	// SentBytes and ReceivedBytes are those of states.
	SentBytes, ReceivedBytes uint64
	// Resumed counts transfers that went on where an earlier one had got to, Refused those that the receiver did not begin to take.
	Resumed, Refused uint64
}

// New returns a Courier. Nothing runs before the first transfer.
func New(cfg Config) *Courier {
	rate := cmp.Or(cfg.Rate, defaultRate)
	c := &Courier{cfg: cfg, out: snapshotstream.NewPacer(rate, nil), in: snapshotstream.NewPacer(rate, nil), installing: map[wire.GroupID]bool{}}
	c.life, c.end = context.WithCancelCause(context.Background())
	return c
}

// Close ends all transfers and returns when nothing of them runs any more; peers hear that the node stops (P7), and none is waited
// for (D72). It may be called again.
func (c *Courier) Close() {
	c.end(errClosed)
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.running.Wait()
}

// finish ends a stream.
func (c *Courier) finish(s Stream) {
	if c.life.Err() != nil {
		s.Reset(quictransport.ReasonShutdown)
		return
	}
	_ = s.Close() // what could not be delivered the peer lacks, and knows it
}

// begin counts one more goroutine, or says that there is to be none.
func (c *Courier) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.running.Add(1)
	}
	return !c.closed
}

// Stats returns the counters.
func (c *Courier) Stats() Stats {
	s := &c.stats
	return Stats{SentBytes: s.sent.Load(), ReceivedBytes: s.received.Load(), Resumed: s.resumed.Load(), Refused: s.refused.Load()}
}

// bound returns ctx that ends with the Courier, too.
func (c *Courier) bound(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(errClosed) })
	return ctx, func(cause error) {
		stop()
		cancel(cause)
	}
}

// stamp is the fence's as sessions have it.
func (c *Courier) stamp() snapshotstream.Stamp {
	s := c.cfg.Fence.Stamp()
	return snapshotstream.Stamp{Observed: snapshotstream.Epoch(s.Observed), Applied: snapshotstream.Epoch(s.Applied)}
}

// admit returns a rule of the fence as sessions have it.
func admit(rule func(epoch.Stamp) error) func(snapshotstream.Stamp) error {
	return func(s snapshotstream.Stamp) error {
		return rule(epoch.Stamp{Observed: epoch.Epoch(s.Observed), Applied: epoch.Epoch(s.Applied)})
	}
}
