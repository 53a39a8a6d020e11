package courier

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"flotilla/raft/wire"
)

// Transfer is a snapshot on its way to or from a peer.
type Transfer struct {
	Group wire.GroupID
	Peer  wire.NodeID
	// Out is true on the way to Peer.
	Out   bool
	Index wire.Index
	// Done is how many bytes of the state are durable at the receiver, From how many were before this transfer, Total all of them.
	Done, From, Total uint64
	Since             time.Time
}

// table keeps what is under way.
type table struct {
	mu   sync.Mutex
	next int
	rows map[int]*Transfer
}

func (t *table) add(x Transfer) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rows == nil {
		t.rows = map[int]*Transfer{}
	}
	t.next++
	t.rows[t.next] = &x
	return t.next
}

func (t *table) change(row int, f func(*Transfer)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(t.rows[row])
}

func (t *table) size(row int, total uint64) {
	t.change(row, func(x *Transfer) { x.Total = total })
}

// move notes how much is durable.
func (t *table) move(row int, durable uint64) {
	t.change(row, func(x *Transfer) { x.Done = durable })
}

// began notes where a transfer begins.
func (c *Courier) began(row int, from uint64) {
	if from > 0 {
		c.stats.resumed.Add(1)
	}
	c.table.change(row, func(x *Transfer) { x.From = from })
}

func (t *table) remove(row int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rows, row)
}

// Transfers returns what is under way, by group and peer.
func (c *Courier) Transfers() []Transfer {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	all := make([]Transfer, 0, len(c.table.rows))
	for _, x := range c.table.rows {
		all = append(all, *x)
	}
	slices.SortFunc(all, func(a, b Transfer) int { return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Peer, b.Peer)) })
	return all
}
