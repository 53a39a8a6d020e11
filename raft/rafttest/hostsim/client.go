package hostsim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"flotilla/catalog"
	"flotilla/kv"
	"flotilla/raft/multiraft"
	"flotilla/raft/rafttest/hostsim/check"
	"flotilla/raft/wire"
)

const (
	// maxTries is how often an operation is tried: then its outcome stays unknown and the client begins a new session.
	maxTries = 60
	// callTimeout bounds one try.
	callTimeout = 4 * time.Second
)

// errDeadline is the end of a try's time.
var errDeadline = errors.New("deadline")

// client is one client of one group: one operation after the other, each repeated until its outcome is known. The client
// of group 0 is the operator.
type client struct {
	id      int
	group   wire.GroupID
	home    wire.NodeID
	session *session
	op      *operation // under way, nil for none
	final   bool       // the operation after the healing has succeeded
}

// session is what one client, or two, number their writes by. Two write at the same time under it.
type session struct {
	id   kv.SessionID // NoSession before it is opened
	last kv.Sequence
	open []kv.Sequence // under way, rising
}

// next numbers one more write.
func (s *session) next() kv.Sequence {
	s.last++
	s.open = append(s.open, s.last)
	return s.last
}

// opKind says what an operation does.
type opKind uint8

const (
	opOpen opKind = iota
	opPut
	opDelete
	opRead
	opStale
	opAdmin
	// opFollow is a stale read on another node once that has applied what was written: it must be seen (P12).
	opFollow
)

var opNames = [...]string{"open", "put", "delete", "read", "stale read", "administer", "follow"}

// operation is what a client wants done once.
type operation struct {
	id      int
	kind    opKind
	key     []byte
	session *session
	seq     kv.Sequence
	require kv.Precondition
	command []byte     // of opAdmin
	index   wire.Index // of opFollow
	// floor is the latest version of key that anybody had been told of when it began.
	floor kv.Revision
	tries int
	final bool
}

// try is one request for an operation.
type try struct {
	c       *client
	op      *operation
	number  int
	h       *host
	command []byte
	floor   kv.Revision // when it was sent
	caller  *int
	call    *multiraft.Call // while the engine works on it
	over    bool            // the client has gone on
	sent    bool            // the host has it
	done    bool            // the host has answered
	result  multiraft.Result
	err     error
}

// String names the try.
func (t *try) String() string {
	return fmt.Sprintf("client %d %s %s, operation %d try %d", t.c.id, opNames[t.op.kind], t.op.key, t.op.id, t.number)
}

// openClients makes the operator and the clients.
func (s *Sim) openClients() {
	for id := range s.plan.Clients*s.plan.Groups + 1 {
		c := &client{id: id}
		if id > 0 {
			c.group = wire.GroupID((id-1)%s.plan.Groups + 1)
		}
		s.move(c)
		if c.session = (&session{}); id > s.plan.Groups && chance(s.rng, 400) {
			c.session = s.clients[id-s.plan.Groups].session
		}
		s.clients = append(s.clients, c)
	}
	for g := wire.GroupID(s.plan.Groups + 1); g < s.plan.groups(); g++ {
		s.clients = append(s.clients, &client{id: len(s.clients), group: g, home: 1, session: &session{}})
	}
}

// move has a client turn to another member, now and then to any node.
func (s *Sim) move(c *client) {
	members := s.memberships[c.group].Members()
	if len(members) == 0 || (s.plan.ChangeEvery > 0 || s.plan.Managed) && chance(s.rng, s.rate(50)) {
		members = ids(s.hosts)
	}
	c.home = members[s.rng.IntN(len(members))]
}

// beginPhase begins a busy or a quiet time.
func (s *Sim) beginPhase() {
	s.busy = !s.busy
	mean := s.plan.QuietMean
	if s.busy {
		mean = s.plan.BusyMean
		s.wake()
	}
	s.after(between(s.rng, mean/2, mean*3/2), &task{kind: taskPhase})
}

// wake has the clients of data groups that rest go on at once.
func (s *Sim) wake() {
	for _, c := range s.clients[1:] {
		if c.op == nil && !s.heal.begun {
			s.after(between(s.rng, 0, s.plan.ThinkBusy), &task{kind: taskThink, client: c})
		}
	}
}

// rest has a client wait until it wants something again.
func (s *Sim) rest(c *client) {
	if s.heal.begun {
		return
	}
	mean := s.plan.ThinkIdle
	if (s.busy || s.now < s.alertUntil) && c.group != wire.MetadataGroup {
		mean = s.plan.ThinkBusy
	}
	s.after(between(s.rng, 0, 2*mean), &task{kind: taskThink, client: c})
}

// rouse has the clients of a group go on that has come to be.
func (s *Sim) rouse(g wire.GroupID) {
	for _, c := range s.clients {
		if c.group == g && c.op == nil {
			s.rest(c)
		}
	}
}

func (s *Sim) clientDelay() time.Duration {
	return between(s.rng, 50*time.Microsecond, 2*time.Millisecond)
}

// think has an idle client begin an operation.
func (s *Sim) think(c *client) {
	if c.op != nil {
		return
	}
	if s.fates[c.group] != groupLives {
		return // rouse wakes it
	}
	s.operations++
	op := &operation{id: s.operations, session: c.session, final: s.heal.begun}
	c.op = op
	switch n := s.rng.IntN(100); {
	case c.group == wire.MetadataGroup:
		op.kind, op.command = opAdmin, s.administer()
	case c.session.id == kv.NoSession:
		op.kind = opOpen
	case n < 50 || op.final:
		op.kind = opPut
	case n < 58:
		op.kind = opDelete
	case n < 88:
		op.kind = opRead
	default:
		op.kind = opStale
	}
	if c.group != wire.MetadataGroup {
		op.key = s.key()
		op.floor = s.checks.registers[c.group].Asked(op.key)
	}
	if op.kind == opPut || op.kind == opDelete {
		op.seq = op.session.next()
		if op.kind == opPut && !op.final && chance(s.rng, 150) {
			op.require = kv.AtRevision(op.floor)
		}
	}
	s.try(c)
}

// key draws a key.
func (s *Sim) key() []byte { return []byte{'k', byte('0' + s.rng.IntN(s.plan.Keys))} }

// administer draws a metadata command.
func (s *Sim) administer() []byte {
	if s.plan.Managed {
		return s.administerManaged()
	}
	id := wire.NodeID(1 + s.rng.IntN(s.plan.Nodes))
	if chance(s.rng, 500) {
		return catalog.SetNodeState{ID: id, State: catalog.NodeDraining}.Append(nil)
	}
	return catalog.SetNodeState{ID: id, State: catalog.NodeActive}.Append(nil)
}

// try sends the client's operation once more, now and then to two nodes at once.
func (s *Sim) try(c *client) {
	s.send(c)
	if chance(s.rng, s.rate(20)) && c.op.kind <= opDelete {
		s.move(c)
		s.send(c)
	}
}

func (s *Sim) send(c *client) {
	op := c.op
	op.tries++
	t := &try{c: c, op: op, number: op.tries, h: s.hosts[c.home-1]}
	switch op.kind {
	case opOpen:
		t.command = kv.AppendCommand(nil, &kv.Command{Op: kv.OpOpen})
	case opPut, opDelete:
		cmd := kv.Command{Op: kv.OpPut, Session: op.session.id, Sequence: op.seq, Acked: op.session.open[0], Require: op.require, Key: op.key}
		if op.kind == opDelete {
			cmd.Op = kv.OpDelete
		} else {
			cmd.Value = s.value(op)
		}
		t.command = kv.AppendCommand(nil, &cmd)
	case opAdmin:
		t.command = op.command
	default:
		t.command = kv.AppendGet(nil, op.key)
		t.floor = s.checks.registers[c.group].Asked(op.key)
	}
	s.note("%v to node %d", t, t.h.id)
	s.after(s.clientDelay(), &task{kind: taskRequest, host: t.h, life: anyLife, try: t})
	s.after(callTimeout+5*time.Millisecond, &task{kind: taskDeadline, try: t})
}

// value is what a try writes: every try of every operation writes another value, so that it can be told who wrote.
func (s *Sim) value(op *operation) []byte {
	v := strconv.AppendInt(make([]byte, 0, 16), int64(op.id), 10)
	v = strconv.AppendInt(append(v, '.'), int64(op.tries), 10)
	if chance(s.rng, 20) {
		v = append(append(v, ' '), bytes.Repeat([]byte{'.'}, s.rng.IntN(3000))...)
	}
	return v
}

// attemptOf reads back whose value v is.
func attemptOf(v []byte) (check.Attempt, error) {
	v, _, _ = bytes.Cut(v, []byte{' '})
	id, number, _ := strings.Cut(string(v), ".")
	op, err := strconv.Atoi(id)
	if err != nil {
		return check.Attempt{}, err
	}
	try, err := strconv.Atoi(number)
	return check.Attempt{Op: op, Number: try}, err
}

// request is a try that reaches its host.
func (s *Sim) request(h *host, t *try) {
	if !h.up {
		s.after(s.clientDelay(), &task{kind: taskAnswer, try: t}) // refused: nothing was sent
		return
	}
	t.sent = true
	t.caller = s.checks.callers.Asked(t.String)
	h.tries = append(h.tries, t)
	life := h.life
	served := func(r multiraft.Result, err error) { s.served(h, t, r, err) }
	query := func(value []byte, err error) { s.served(h, t, multiraft.Result{Value: value}, err) }
	var call *multiraft.Call
	switch kind := t.op.kind; {
	case kind == opStale || kind == opRead && s.plan.sabotage == staleReads:
		call = h.stepper.QueryStale(t.c.group, t.command, query)
	case kind == opFollow:
		call = h.stepper.Wait(t.c.group, t.op.index, func(err error) {
			if err != nil {
				query(nil, err)
				return
			}
			if w := h.watchers[t.c.group].Applied(); w < t.op.index {
				s.broken("watchers", fmt.Errorf("node %d: a wait for %d of group %d ends at %d", h.id, t.op.index, t.c.group, w))
			}
			next := h.stepper.QueryStale(t.c.group, t.command, query)
			if !t.done {
				t.call = next
			}
		})
	case kind == opRead:
		s.stats.Reads++
		call = h.stepper.Query(t.c.group, t.command, query)
	default:
		s.stats.Writes++
		call = h.stepper.Propose(t.c.group, t.command, served)
	}
	if !t.done {
		if t.call == nil {
			t.call = call
		}
		s.after(callTimeout, &task{kind: taskLeave, host: h, life: life, try: t})
	}
	s.pump(h)
}

// served is the engine's answer.
func (s *Sim) served(h *host, t *try, r multiraft.Result, err error) {
	s.broken("callers", s.checks.callers.Answered(t.caller))
	t.call, t.done, t.result, t.err = nil, true, r, err
	if i := slices.Index(h.tries, t); i >= 0 {
		h.tries = slices.Delete(h.tries, i, i+1)
	}
	code := wire.CodeOf(err)
	s.trace.words(uint64(t.op.id), uint64(t.number), uint64(code), uint64(r.Index), uint64(r.Term))
	s.note("node %d answers %v: index %d, %v", h.id, t, r.Index, err)
	switch {
	case err != nil && code == 0:
		s.broken("outcomes", fmt.Errorf("%v is answered with an error without a code: %w", t, err))
	case t.op.kind == opRead || t.op.kind == opStale || t.op.kind == opFollow:
	case err == nil:
		s.broken("machines", s.checks.machines.Acknowledged(t.c.group, r.Index, check.Sum(t.command)))
		s.broken("imports", s.checks.imports.Acknowledged(t.c.group))
	case code != wire.CodeUnknownOutcome && t.op.kind == opPut:
		s.broken("outcomes", s.checks.outcomes.Refused(check.Attempt{Op: t.op.id, Number: t.number}, code))
	}
	s.after(s.clientDelay(), &task{kind: taskAnswer, try: t})
}

// overdue is a client that has waited long enough.
func (s *Sim) overdue(t *try) {
	if !t.over {
		t.err = &wire.Error{Code: wire.CodeUnknownOutcome, Detail: "no answer"}
		t.done = true
		s.answer(t)
	}
}

// answer is a try's answer at the client; one that was not done was lost with its connection.
func (s *Sim) answer(t *try) {
	c, op := t.c, t.op
	if t.over || c.op != op {
		return
	}
	t.over = true
	if t.done && t.err == nil {
		c.op = nil
		if s.succeed(t); c.op == nil {
			s.rest(c)
		}
		return
	}
	if !t.done || wire.CodeOf(t.err) == wire.CodeUnknownOutcome {
		s.stats.Unknown++
	}
	if op.tries > 1 {
		s.stats.Repeated++
	}
	if op.tries >= maxTries || s.fates[c.group] == groupDeleted {
		s.stats.Unanswered++
		s.note("client %d gives up on operation %d", c.id, op.id)
		s.abandon(c)
		return
	}
	s.move(c)
	s.after(between(s.rng, 10*time.Millisecond, 800*time.Millisecond), &task{kind: taskThink, client: c, value: thinkAgain})
}

// abandon leaves an operation's outcome unknown for good. Its session ends with it: nobody knows how far it is.
func (s *Sim) abandon(c *client) {
	fresh, old := &session{}, c.op.session
	for _, o := range s.clients {
		if o.session == old {
			o.session = fresh
		}
	}
	c.op = nil
	s.rest(c)
}

// succeed holds an answer against what is known.
func (s *Sim) succeed(t *try) {
	c, op := t.c, t.op
	switch op.kind {
	case opRead, opStale, opFollow:
		s.found(t)
		return
	case opAdmin:
		s.stats.Metadata++
		c.final = op.final
		return
	}
	r, err := kv.DecodeResult(t.result.Value)
	if s.broken("machines", err) {
		return
	}
	registers := &s.checks.registers[c.group]
	s.stats.Acknowledged++
	op.session.open = slices.DeleteFunc(op.session.open, func(q kv.Sequence) bool { return q == op.seq })
	switch {
	case op.kind == opOpen:
		if op.session.id == kv.NoSession { // else the other one was quicker
			op.session.id = r.Session
		}
	case r.Status == kv.StatusOK:
		s.broken("registers", registers.Wrote(op.key, op.floor, r.Revision))
		c.final = op.final
		if chance(s.rng, 200) && !op.final {
			s.follow(t, r.Revision)
		}
	case r.Status == kv.StatusConflict && r.Revision > 0:
		s.stats.Conflicts++
		s.broken("registers", registers.Found(op.key, op.floor, r.Revision, nil))
	case r.Status == kv.StatusConflict, r.Status == kv.StatusNotFound:
		s.broken("registers", registers.Missed(op.key, op.floor))
	default:
		s.broken("sessions", fmt.Errorf("%v is answered with status %d", t, r.Status))
	}
}

// follow has a client look for what it has written on any node.
func (s *Sim) follow(t *try, revision kv.Revision) {
	s.operations++
	c := t.c
	c.op = &operation{id: s.operations, kind: opFollow, key: t.op.key, index: t.result.Index, floor: revision}
	s.move(c)
	s.try(c)
}

// found holds the answer to a client's read against what is known.
func (s *Sim) found(t *try) {
	g, key := t.c.group, t.op.key
	switch t.op.kind {
	case opRead:
		s.stats.ReadsOK++
		s.seen(g, key, t.floor, t.result.Value)
	case opFollow:
		s.stats.Followed++
		s.seen(g, key, t.op.floor, t.result.Value)
	case opStale:
		s.stats.Stale++
		item, ok, err := kv.DecodeValue(t.result.Value)
		if err == nil && ok {
			err = s.checks.registers[g].Stale(key, item.Revision, item.Value)
		}
		s.broken("registers", err)
	}
}

// seen holds what was read of a key against what was known when it was asked for.
func (s *Sim) seen(g wire.GroupID, key []byte, floor kv.Revision, value []byte) {
	registers := &s.checks.registers[g]
	item, ok, err := kv.DecodeValue(value)
	switch {
	case err != nil:
	case ok:
		err = registers.Found(key, floor, item.Revision, item.Value)
	default:
		err = registers.Missed(key, floor)
	}
	s.broken("registers", err)
}
