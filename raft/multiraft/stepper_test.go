package multiraft

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"flotilla/raft"
	"flotilla/raft/wire"
)

// stepped is a cluster of engines without a goroutine: frames and requests wait until deliver.
type stepped struct {
	t      *testing.T
	nodes  []*steppedNode
	frames []func()
}

// steppedNode is one of them and its Transport.
type steppedNode struct {
	c       *stepped
	id      wire.NodeID
	s       *Stepper
	machine *echoes
}

func (n *steppedNode) Send(to wire.NodeID, _ wire.Lane, msgs []wire.Message) error {
	kept := append([]wire.Message(nil), msgs...)
	n.c.frames = append(n.c.frames, func() { n.c.nodes[to-1].s.Engine().HandleMessages(n.id, kept) })
	return nil
}

func (n *steppedNode) Forward(context.Context, wire.NodeID, []byte) ([]byte, error) {
	n.c.t.Error("a stepped engine waits in Transport.Forward")
	return nil, errors.New("unused")
}

func (n *steppedNode) forward(to wire.NodeID, request []byte, done func([]byte, error)) func() {
	n.c.frames = append(n.c.frames, func() { n.c.nodes[to-1].s.HandleForward(n.id, request, done) })
	return func() {}
}

// echoes keeps commands; the result is the command.
type echoes struct{ got [][]byte }

func (m *echoes) Apply(batch []Command) ([][]byte, error) {
	results := make([][]byte, 0, len(batch))
	for _, c := range batch {
		m.got = append(m.got, c.Data)
		results = append(results, c.Data)
	}
	return results, nil
}

func (m *echoes) Query([]byte) ([]byte, error) { return bytes.Join(m.got, []byte{' '}), nil }

func newStepped(t *testing.T) *stepped {
	c := &stepped{t: t}
	for id := wire.NodeID(1); id <= 3; id++ {
		log := newMemLog()
		log.create(1, wire.Membership{Voters: []wire.NodeID{1, 2, 3}})
		n := &steppedNode{c: c, id: id, machine: &echoes{}}
		s, err := NewStepper(Config{Self: id, Workers: 1, Log: log, Transport: n, Seed: uint64(id)}, n.forward)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Engine().AddGroup(GroupConfig{ID: 1, Machine: n.machine}); err != nil {
			t.Fatal(err)
		}
		n.s = s
		c.nodes = append(c.nodes, n)
	}
	return c
}

// settle runs everything that is due.
func (c *stepped) settle() {
	for range 1000 {
		frames, rest := c.frames, true
		c.frames = nil
		for _, deliver := range frames {
			deliver()
		}
		for _, n := range c.nodes {
			due := n.s.Due()
			rest = rest && due == 0
			n.s.Turn()
			if n.s.BeginCommit() {
				n.s.EndCommit()
			}
			n.s.Apply()
		}
		if rest && len(c.frames) == 0 {
			return
		}
	}
	c.t.Fatal("no rest after 1000 rounds")
}

// lead ticks node 1 until it leads.
func (c *stepped) lead() *steppedNode {
	for range 100 {
		c.nodes[0].s.Tick()
		c.settle()
		if st, _ := c.nodes[0].s.Engine().GroupStatus(1); st.Role == raft.Leader {
			return c.nodes[0]
		}
	}
	c.t.Fatal("node 1 does not lead")
	return nil
}

// TestStepper: commands, forwarded ones too, reads, waits and transfers without a goroutine; each caller is told once.
func TestStepper(t *testing.T) {
	c := newStepped(t)
	told := map[string]int{}
	tell := func(what string) func(Result, error) {
		return func(r Result, err error) {
			told[what]++
			if err != nil || string(r.Value) != what {
				t.Errorf("%s: %q, %v", what, r.Value, err)
			}
		}
	}
	c.nodes[1].s.Propose(1, []byte("early"), func(_ Result, err error) {
		told["early"]++
		if wire.CodeOf(err) != wire.CodeNoLeader {
			t.Errorf("without a leader: %v", err)
		}
	})
	c.settle()
	leader := c.lead()
	leader.s.Propose(1, []byte("a"), tell("a"))
	c.settle()
	c.nodes[1].s.Propose(1, []byte("b"), tell("b")) // forwarded
	c.settle()
	c.nodes[2].s.Query(1, nil, func(value []byte, err error) { tell("a b")(Result{Value: value}, err) })
	c.nodes[2].s.Wait(1, 4, func(err error) { tell("")(Result{}, err) }) // beyond what is there
	c.settle()
	if told[""] != 0 {
		t.Error("a wait ended early")
	}
	leader.s.Tick()
	c.settle()
	c.nodes[1].s.Transfer(1, 3, func(err error) { told["transfer"]++; tell("")(Result{}, err) }) // its no-op is entry 4
	c.settle()
	for what, want := range map[string]int{"early": 1, "a": 1, "b": 1, "a b": 1, "transfer": 1, "": 2} {
		if told[what] != want {
			t.Errorf("%q was told %d times, want %d", what, told[what], want)
		}
	}
}

// TestStepperLeave: who gives up is told so once, and whether the call had been taken in (N7).
func TestStepperLeave(t *testing.T) {
	c := newStepped(t)
	leader := c.lead()
	var codes []wire.Code
	tell := func(_ Result, err error) { codes = append(codes, wire.CodeOf(err)) }
	gone := errors.New("gone")

	leader.s.Propose(1, []byte("a"), tell).Leave(gone) // before a turn has taken it
	taken := leader.s.Propose(1, []byte("b"), tell)
	leader.s.Turn()
	taken.Leave(gone)
	taken.Leave(gone)
	forwarded := c.nodes[1].s.Propose(1, []byte("c"), tell)
	forwarded.Leave(gone)
	c.nodes[1].s.Query(1, nil, func(_ []byte, err error) { tell(Result{}, err) }).Leave(gone)
	c.settle()
	want := []wire.Code{wire.CodeTimeout, wire.CodeUnknownOutcome, wire.CodeUnknownOutcome, wire.CodeTimeout}
	if !slices.Equal(codes, want) {
		t.Errorf("got %v, want %v", codes, want)
	}
	if got, _ := leader.machine.Query(nil); string(got) != "b c" {
		t.Errorf("applied %q", got)
	}
	for _, n := range c.nodes {
		if w := n.s.Engine().Stats().WaitingBytes; w != 0 {
			t.Errorf("node %d holds room for %d bytes", n.id, w)
		}
	}
}

// TestStepperEnds: a drained engine has handed over, and a killed one has answered everybody (P7).
func TestStepperEnds(t *testing.T) {
	c := newStepped(t)
	leader := c.lead()
	var codes []wire.Code
	leader.s.Propose(1, []byte("a"), func(_ Result, err error) { codes = append(codes, wire.CodeOf(err)) })
	leader.s.Turn()
	leader.s.Drain()
	if leader.s.Drained() {
		t.Error("drained with a command under way")
	}
	for range 3 {
		c.settle()
		for _, n := range c.nodes {
			n.s.Tick()
		}
	}
	if st, _ := leader.s.Engine().GroupStatus(1); !leader.s.Drained() || st.Role == raft.Leader {
		t.Errorf("drained %v: %+v", leader.s.Drained(), st)
	}
	heir := c.nodes[st(c, 1).Leader-1]
	heir.s.Propose(1, []byte("b"), func(_ Result, err error) { codes = append(codes, wire.CodeOf(err)) })
	heir.s.Turn()
	if !heir.s.BeginCommit() || len(heir.s.Writing()) != 1 {
		t.Errorf("under way to the disk: %v", heir.s.Writing())
	}
	heir.s.Kill()
	other := c.nodes[1] // whose request has left for the heir
	if other == heir {
		other = c.nodes[2]
	}
	other.s.Propose(1, []byte("c"), func(_ Result, err error) { codes = append(codes, wire.CodeOf(err)) })
	other.s.Kill()
	if want := []wire.Code{0, wire.CodeUnknownOutcome, wire.CodeUnknownOutcome}; !slices.Equal(codes, want) {
		t.Errorf("got %v, want %v", codes, want)
	}
}

// st is what the second node says of group id.
func st(c *stepped, id wire.GroupID) GroupStatus {
	s, _ := c.nodes[1].s.Engine().GroupStatus(id)
	return s
}
