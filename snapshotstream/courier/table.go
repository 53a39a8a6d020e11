package courier

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"flotilla/raft/wire"
)

// Direction is a snapshot's, as seen from this node.
type Direction string

// The directions.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// Transfer is a snapshot on its way to or from a peer.
type Transfer struct {
	Group     wire.GroupID
	Peer      wire.NodeID
	Direction Direction
	Index     wire.Index
	// Done is how many bytes of the state are durable at the receiver, Before how many were before this transfer, Total all of
	// them; that is 0 until it is known.
	Done, Before, Total uint64
	Since               time.Time
}

// table keeps what is under way.
type table struct {
	mu   sync.Mutex
	rows map[*underway]struct{}
}

// underway is a transfer in the table. The goroutine that carries it changes it.
type underway struct {
	c     *Courier
	begun bool
	x     Transfer // the table's mutex guards changes
}

// track puts a transfer that begins now into the table, until its end.
func (c *Courier) track(x Transfer) *underway {
	x.Since = time.Now()
	u := &underway{c: c, x: x}
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	if c.table.rows == nil {
		c.table.rows = map[*underway]struct{}{}
	}
	c.table.rows[u] = struct{}{}
	return u
}

func (u *underway) change(f func(x *Transfer)) {
	u.c.table.mu.Lock()
	defer u.c.table.mu.Unlock()
	f(&u.x)
}

// size notes how much it is.
func (u *underway) size(total uint64) { u.change(func(x *Transfer) { x.Total = total }) }

// move notes how much is durable at the receiver, and returns how much more that is. It begins with what was there before.
func (u *underway) move(durable uint64) (more uint64) {
	if !u.begun {
		if durable > 0 {
			u.c.stats.resumed.Add(1)
		}
		u.begin(durable)
	}
	more = durable - u.x.Done
	u.change(func(x *Transfer) { x.Done = durable })
	return more
}

func (u *underway) begin(before uint64) {
	u.begun = true
	u.change(func(x *Transfer) { x.Before, x.Done = before, before })
	x := &u.x
	u.c.emit(TransferStarted{Group: x.Group, Peer: x.Peer, Direction: x.Direction, Index: x.Index, BytesBefore: x.Before, BytesTotal: x.Total})
}

// end takes it out of the table and tells how it ended: well without an error.
func (u *underway) end(err error) {
	x := &u.x
	switch {
	case !u.begun && err == nil:
		u.begin(x.Total) // all of it was there
	case !u.begun:
		u.begin(0) // it was not heard of how much
	}
	u.c.table.remove(u)
	u.c.emit(TransferEnded{
		Group: x.Group, Peer: x.Peer, Direction: x.Direction, Index: x.Index,
		BytesBefore: x.Before, BytesDone: x.Done, BytesTotal: x.Total, Took: time.Since(x.Since).Round(time.Millisecond), Err: err,
	})
}

func (t *table) remove(u *underway) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rows, u)
}

// Transfers returns what is under way, by group and peer.
func (c *Courier) Transfers() []Transfer {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	all := make([]Transfer, 0, len(c.table.rows))
	for u := range c.table.rows {
		all = append(all, u.x)
	}
	slices.SortFunc(all, func(a, b Transfer) int { return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Peer, b.Peer)) })
	return all
}
