#!/bin/bash
# Plants faults in a scratch copy of the core, one at a time, and shows that the differential run finds each.
# usage: ./bite.sh [schedules]     a fault that survives so many schedules fails the script
set -u
limit=${1:-20000}
root=$(cd "$(dirname "$0")/../../.." && pwd)
scratch=$(mktemp -d /tmp/flotilla-bite.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
survived=0

# plant NAME FILE FROM TO: replaces the first FROM in raft/FILE, literally.
plant() {
	local name=$1 file=$2
	rm -rf "$scratch/tree" && mkdir "$scratch/tree"
	(cd "$root" && tar cf - go.mod go.sum internal raft) | tar xf - -C "$scratch/tree"
	FROM=$3 TO=$4 perl -0pi -e 'BEGIN { $n = 0 } $n += s/\Q$ENV{FROM}\E/$ENV{TO}/; END { exit($n ? 0 : 1) }' "$scratch/tree/raft/$file" ||
		{ echo "$name: the line to be broken is not there any more"; exit 2; }
	(cd "$scratch/tree/raft/rafttest/diff" && go build -o "$scratch/diff" .) || exit 2
	local began=$(date +%s.%N)
	# A fault that makes a core spin must not take the machine along.
	if (ulimit -v 4000000 && nice timeout 300 "$scratch/diff" -schedules "$limit" -seed 1) >"$scratch/out" 2>&1; then
		echo "SURVIVES  $name"
		survived=1
		return
	fi
	printf '%6.2f s  %-38s %s\n' "$(echo "$(date +%s.%N) - $began" | bc)" "$name" "$(grep -m1 '^seed' "$scratch/out" | cut -c1-150)"
}

plant "gives two votes in a term" follower.go 'free := c.vote == m.From ||' 'free := true || c.vote == m.From ||'
plant "votes for a shorter log" follower.go '|| !c.log.upToDate(m.Index, m.LogTerm)' '|| !c.log.upToDate(m.Index+1, m.LogTerm)'
plant "acknowledges what was not compared" follower.go 'c.acknowledge(m.From, verified)' 'c.acknowledge(m.From, c.log.last())'
plant "acknowledges before the disk" follower.go 'need := max(c.persist.needHard(), c.log.vouches(i, c.persist.issued+1))' 'need := c.persist.needHard()'
plant "says its vote before the disk" persistence.go 'if p.dirty {' 'if false {'
plant "commits an earlier term by count" leader.go 'mutant.Is(mutant.CommitEarlierTerm)' '!mutant.Is(mutant.CommitEarlierTerm)'
plant "counts a learner" leader.go 'mutant.Is(mutant.CountLearner)' '!mutant.Is(mutant.CountLearner)'
plant "confirms a read without a quorum" read.go 'confirmed := c.agreed(' 'confirmed := c.reads.round + 0*c.agreed('
plant "begins reads before its first commit" read.go 'mutant.Is(mutant.ReadBeforeOwnCommit)' '!mutant.Is(mutant.ReadBeforeOwnCommit)'
plant "raises the term for a pre-vote" follower.go '		c.learnCommit(&m)
	}' '		c.become(m.Term, wire.NoNode)
	}'
plant "believes a heartbeat's commit index" follower.go 'mutant.Is(mutant.BelieveHeartbeat)' '!mutant.Is(mutant.BelieveHeartbeat)'
plant "leads on without a majority" leader.go 'mutant.Is(mutant.LeadWithoutMajority)' '!mutant.Is(mutant.LeadWithoutMajority)'
plant "campaigns with a change unapplied" candidate.go 'mutant.Is(mutant.CampaignBehindChange)' '!mutant.Is(mutant.CampaignBehindChange)'
plant "changes while another is pending" change.go 'len(c.apply.changes) > 0 ||' ''
plant "truncates where the logs agree" follower.go 'if term != e.Term {' 'if term != e.Term || e.Index == c.log.last() && e.Index > c.commit {'
plant "does not send what is proposed" leader.go 'mutant.Is(mutant.ProposalNotSent)' '!mutant.Is(mutant.ProposalNotSent)'
plant "keeps the conflicting suffix of a snapshot" install.go 'if !held {
		c.moveLog(&s)' 'if !held && c.log.last() >= s.Index {
		c.setCommit(s.Index)
	} else if !held {
		c.moveLog(&s)'
plant "counts a snapshot when it is sent" snapshot.go 'f.SnapshotMoves()' 'i := f.Sending(); f.Restored(i); f.Acked(i); c.advanceCommit()'
plant "acknowledges a snapshot before the disk" log.go 'l.durable, l.given = 0, i' 'l.durable, l.given = i, i'
plant "vouches for a snapshot by an older write" log.go 'l.batches[k].last = 0' 'l.batches[k].last = max(l.batches[k].last, i)'
plant "installs a snapshot without its membership" install.go 'if s.Membership.Index > c.membership.Index {' 'if false {'
plant "asks for a snapshot that is not needed" snapshot.go 'if i+1 >= c.log.first() {' 'if i >= c.log.last() {'
# Joint configurations.
plant "decides by the incoming half" quorum/reached.go 'return min(Reached(incoming), Reached(outgoing))' 'return Reached(incoming)'
plant "decides by the outgoing half" quorum/reached.go 'return min(Reached(incoming), Reached(outgoing))' 'return Reached(outgoing)'
plant "is elected by the incoming half" quorum/tally.go 'if len(outgoing) == 0 || v == Lost {' 'if true {'
plant "is elected by the outgoing half" quorum/tally.go 'v := t.verdict(voters)' 'v := t.verdict(voters)
	if len(outgoing) > 0 {
		return t.verdict(outgoing)
	}'
plant "asks the incoming half only" candidate.go 'range c.membership.AllVoters() {' 'range c.membership.Voters {'
plant "exchanges voters in a simple step" membership/membership.go 'Moved(m.Voters, next.Voters) > 1' 'Moved(m.Voters, next.Voters) > 2'
plant "does not leave" change.go 'return c.role == Leader && c.membership.Joint()' 'return false && c.role == Leader && c.membership.Joint()'
plant "leaves while leadership is handed over" change.go ' && c.lead.transfer.to == wire.NoNode && c.changeGuard() == ""' ' && c.changeGuard() == ""'
plant "leaves before an entry of its term is committed" change.go 'case c.commit < c.lead.start:' 'case false:'
plant "loses the demoted" membership/membership.go 'Learners: merge(m.Learners, m.Demoted)' 'Learners: m.Learners'
plant "steps down too early" change.go 'case c.role == Leader && !c.membership.IsVoter(c.self):' 'case c.role == Leader && !(&wire.Membership{Voters: c.membership.Voters}).IsVoter(c.self):'
exit $survived
