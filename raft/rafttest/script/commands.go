package script

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"flotilla/raft"
	"flotilla/raft/rafttest"
	"flotilla/raft/wire"
)

// command is one word of the transcripts' language.
type command struct {
	run   func(*Script, arguments) error
	shows level
}

// commands is the language. N, M are node ids; a selection is any of: N->M from=N to=M type=append term=T
// index=I context=C id=P n=COUNT, and means all packets when empty.
//
//	nodes 3 [voters=(1,2)] [learners=(3)] [disk=auto] [election=10] [heartbeat=1] [max-append=B]
//	        [inflight=COUNT] [inflight-bytes=B] [uncommitted=B] [keep=COUNT] [lease=TICKS]     a cluster of nodes 1 to 3
//	join N                a node with an empty log and the membership the cluster was born with
//	tick N [COUNT]        ticks; "tick all" goes round
//	timeout N             ticks N until it campaigns
//	campaign N            has N start an election
//	lead N                gone, campaign N, settle, without output
//	elect N by=(M,...)    gone, campaign N, and only N and M exchange requests and votes; what N sends as leader
//	                      stays in the network
//	propose N DATA        or: propose N size=BYTES [count=COUNT]
//	change N KIND M       KIND is add-learner, promote, remove or demote; several in one set: "change N promote 4 remove 2";
//	                      "if INDEX" besides names the membership that it is meant for
//	read N CONTEXT
//	transfer N M
//	sleep N               N's group goes to sleep, if N leads it and may
//	wake N, lost N M      N wakes up; N hears that M has been silent for long
//	unreachable N M       a send of N to M failed
//	gone N M              N is told that M has stopped on purpose; "gone" alone: everybody is told so of the
//	                      leader it knows, as if all leases had run out
//	deliver/drop/dup/hold/release SELECTION
//	net                   what is in the network
//	step type=... from=N to=M ...   hands over a forged message
//	cut N M | cut N | cut N->M ; heal
//	settle                deliver, persist and apply until nothing moves
//	persist N [COUNT]     makes queued writes durable and tells the core
//	sync N, told N        the two halves of persist
//	disk N auto|manual    whether N persists at once
//	break N, mend N       reads of N's disk fail
//	apply N auto|manual|COUNT
//	snapshot N            N stores a snapshot of what it has applied
//	compact N INDEX       N's log lets go of entries up to INDEX, after "snapshot N" if none reaches that far
//	send N M              N sends its newest snapshot to M: it is in transit then
//	receive M [keep]      the first one in transit to M arrives (and comes once more)
//	lose M                it does not
//	begin M, installed M, abandon M     M's machine takes over what arrived
//	install M             begin and installed
//	report N M progress|sent|failed     N hears how its transfer to M gets on
//	crash N, restart N [finish]         finish: the log moves to what the machine had taken over
//	violated              the run has broken an invariant, and that was what this transcript wants to see
//	status [N], log [N], machine N
//
// quiet, brief or full after any command says how much it shows.
var commands = map[string]command{
	"nodes":       {(*Script).cmdNodes, quiet},
	"join":        {(*Script).cmdJoin, full},
	"tick":        {(*Script).cmdTick, full},
	"timeout":     {(*Script).cmdTimeout, full},
	"campaign":    {(*Script).cmdCampaign, full},
	"lead":        {(*Script).cmdLead, quiet},
	"elect":       {(*Script).cmdElect, brief},
	"propose":     {(*Script).cmdPropose, full},
	"change":      {(*Script).cmdChange, full},
	"read":        {(*Script).cmdRead, full},
	"transfer":    {(*Script).cmdTransfer, full},
	"sleep":       {(*Script).cmdSleep, full},
	"wake":        {(*Script).cmdWake, full},
	"lost":        {(*Script).cmdLost, full},
	"unreachable": {(*Script).cmdUnreachable, full},
	"gone":        {(*Script).cmdGone, full},
	"deliver":     {(*Script).cmdDeliver, full},
	"drop":        {(*Script).cmdDrop, full},
	"dup":         {(*Script).cmdDup, full},
	"hold":        {(*Script).cmdHold, full},
	"release":     {(*Script).cmdRelease, full},
	"net":         {(*Script).cmdNet, full},
	"step":        {(*Script).cmdStep, full},
	"cut":         {(*Script).cmdCut, full},
	"heal":        {(*Script).cmdHeal, full},
	"settle":      {(*Script).cmdSettle, brief},
	"persist":     {(*Script).cmdPersist, full},
	"sync":        {(*Script).cmdSync, full},
	"told":        {(*Script).cmdTold, full},
	"disk":        {(*Script).cmdDisk, full},
	"break":       {(*Script).cmdBreak, full},
	"mend":        {(*Script).cmdMend, full},
	"apply":       {(*Script).cmdApply, full},
	"snapshot":    {(*Script).cmdSnapshot, full},
	"compact":     {(*Script).cmdCompact, full},
	"send":        {(*Script).cmdSend, full},
	"receive":     {(*Script).cmdReceive, full},
	"lose":        {(*Script).cmdLose, full},
	"begin":       {(*Script).cmdBegin, full},
	"installed":   {(*Script).cmdInstalled, full},
	"install":     {(*Script).cmdInstall, full},
	"abandon":     {(*Script).cmdAbandon, full},
	"report":      {(*Script).cmdReport, full},
	"crash":       {(*Script).cmdCrash, full},
	"restart":     {(*Script).cmdRestart, full},
	"violated":    {(*Script).cmdViolated, full},
	"status":      {(*Script).cmdStatus, full},
	"log":         {(*Script).cmdLog, full},
	"machine":     {(*Script).cmdMachine, full},
}

func (s *Script) cmdNodes(a arguments) error {
	n := a.count(0, 3)
	birth := wire.Membership{Voters: a.nodes("voters"), Learners: a.nodes("learners")}
	if birth.Voters == nil {
		for id := wire.NodeID(1); id <= wire.NodeID(n); id++ {
			if !birth.IsLearner(id) {
				birth.Voters = append(birth.Voters, id)
			}
		}
	}
	config := raft.Config{
		ElectionTicks:       int(a.number("election", 10)),
		HeartbeatTicks:      int(a.number("heartbeat", 1)),
		MaxAppendBytes:      int(a.number("max-append", 0)),
		MaxInflightMessages: int(a.number("inflight", 0)),
		MaxInflightBytes:    int(a.number("inflight-bytes", 0)),
		MaxUncommittedBytes: int(a.number("uncommitted", 0)),
		MaxCommittedBytes:   int(a.number("max-committed", 0)),
		LeaseMargin:         int(a.number("lease", 0)),
	}
	s.cluster = rafttest.NewCluster(s, config, birth, rafttest.Checkers())
	s.config = config
	s.keep = wire.Index(a.number("keep", 10_000))
	s.cluster.Observe(s.show)
	s.auto = a.text("disk", "manual") == "auto"
	for id := wire.NodeID(1); id <= wire.NodeID(n); id++ {
		s.add(id)
	}
	return nil
}

func (s *Script) add(id wire.NodeID) {
	s.manual[id] = !s.auto
	s.cluster.Add(id, uint64(id)*1000)
}

func (s *Script) cmdJoin(a arguments) error {
	s.add(a.node(0))
	return nil
}

func (s *Script) cmdTick(a arguments) error {
	ids := s.cluster.Nodes()
	if a.word(0) != "all" {
		ids = []wire.NodeID{a.node(0)}
	}
	for range a.count(1, 1) {
		for _, n := range ids {
			s.cluster.Tick(n)
			s.catchUp()
		}
	}
	return nil
}

func (s *Script) cmdTimeout(a arguments) error {
	n := a.node(0)
	for range 2 * s.config.ElectionTicks {
		before, term := s.sent, s.cluster.Status(n).Term
		s.cluster.Tick(n)
		s.catchUp()
		if s.asked(before) || s.cluster.Status(n).Term > term {
			return nil
		}
	}
	fmt.Fprintf(&s.out, "%s does not campaign\n", n)
	return nil
}

// asked reports whether anybody has asked for votes since packet before.
func (s *Script) asked(before int) bool {
	return slices.ContainsFunc(s.net, func(p packet) bool {
		return p.number > before && (p.m.Type == wire.MsgPreVote || p.m.Type == wire.MsgVote)
	})
}

func (s *Script) cmdCampaign(a arguments) error {
	s.cluster.Campaign(a.node(0))
	return nil
}

func (s *Script) cmdLead(a arguments) error {
	n := a.node(0)
	if err := s.cmdGone(nil); err != nil {
		return err
	}
	s.cluster.Campaign(n)
	err := s.settle()
	if st := s.cluster.Status(n); st.Role == raft.Leader {
		fmt.Fprintf(&s.out, "%s leads term %d, commit %d\n", n, st.Term, st.Commit)
	} else {
		fmt.Fprintf(&s.out, "%s is %s in term %d\n", n, st.Role, st.Term)
	}
	return err
}

func (s *Script) cmdElect(a arguments) error {
	n, by := a.node(0), a.nodes("by")
	if err := s.cmdGone(nil); err != nil {
		return err
	}
	s.cluster.Campaign(n)
	for {
		s.catchUp()
		votes := s.choose(func(p *packet) bool { return isVoting(p.m.Type) && (p.m.From == n || p.m.To == n) })
		if len(votes) == 0 {
			return nil
		}
		for _, p := range votes {
			if slices.Contains(by, p.m.From) || slices.Contains(by, p.m.To) {
				s.deliver([]packet{p})
			}
		}
	}
}

func isVoting(t wire.MessageType) bool {
	return t == wire.MsgPreVote || t == wire.MsgPreVoteReply || t == wire.MsgVote || t == wire.MsgVoteReply
}

func (s *Script) cmdPropose(a arguments) error {
	n := a.node(0)
	for k := range a.number("count", 1) {
		var data []byte
		if size := a.number("size", 0); size > 0 {
			data = []byte(strings.Repeat(string(rune('a'+k%26)), int(size)))
		} else {
			data = []byte(a.word(1))
		}
		i, t, err := s.cluster.Propose(n, data)
		if err != nil {
			fmt.Fprintf(&s.out, "%s refuses: %s\n", n, explain(err))
			return nil
		}
		if s.level != quiet {
			fmt.Fprintf(&s.out, "%s takes it in as %d@%d\n", n, i, t)
		}
	}
	return nil
}

func (s *Script) cmdChange(a arguments) error {
	set, err := changes(a.words()[1:])
	if err != nil {
		return err
	}
	i, t, err := s.cluster.Change(a.node(0), set)
	if err != nil {
		fmt.Fprintf(&s.out, "%s refuses: %s\n", a.node(0), explain(err))
		return nil
	}
	fmt.Fprintf(&s.out, "%s takes it in as %d@%d\n", a.node(0), i, t)
	return nil
}

// explain renders a refusal: its class, and the leader it names.
func explain(err error) string {
	var e *wire.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	text := e.Code.String()
	if e.Leader != wire.NoNode {
		text += fmt.Sprintf(" (leader is %s)", e.Leader)
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

func (s *Script) cmdRead(a arguments) error {
	s.cluster.Read(a.node(0), uint64(a.count(1, 1)))
	return nil
}

func (s *Script) cmdTransfer(a arguments) error {
	if err := s.cluster.Transfer(a.node(0), a.node(1)); err != nil {
		fmt.Fprintf(&s.out, "%s refuses: %s\n", a.node(0), explain(err))
	}
	return nil
}

func (s *Script) cmdUnreachable(a arguments) error {
	s.cluster.Unreachable(a.node(0), a.node(1))
	return nil
}

func (s *Script) cmdSleep(a arguments) error {
	if !s.cluster.Sleep(a.node(0)) {
		fmt.Fprintf(&s.out, "%s may not sleep\n", a.node(0))
	}
	return nil
}

func (s *Script) cmdWake(a arguments) error {
	s.cluster.Wake(a.node(0))
	return nil
}

func (s *Script) cmdLost(a arguments) error {
	s.cluster.PeerLost(a.node(0), a.node(1))
	return nil
}

func (s *Script) cmdGone(a arguments) error {
	if len(a.words()) > 0 {
		s.cluster.LeaderGone(a.node(0), a.node(1))
		return nil
	}
	for _, n := range s.cluster.Nodes() {
		if s.cluster.Up(n) {
			s.cluster.LeaderGone(n, s.cluster.Status(n).Leader)
		}
	}
	return nil
}

func (s *Script) cmdSettle(arguments) error { return s.settle() }

func (s *Script) cmdCrash(a arguments) error {
	s.cluster.Crash(a.node(0))
	return nil
}

func (s *Script) cmdRestart(a arguments) error {
	if a.flag("finish") && !s.cluster.FinishInstall(a.node(0)) {
		return errors.New("nothing to finish")
	}
	s.cluster.Restart(a.node(0))
	return nil
}
