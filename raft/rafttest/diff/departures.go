package main

import (
	"fmt"
	"io"
)

// departure is a way in which the two sides differ on purpose.
type departure int

// The departures, in the order of the table.
const (
	depCommitAdvice departure = iota
	depAdvisedNotToStand
	depRemovedYields
	depCountAtChange
	depHeldLonger
	depAppliedLater
	depLostWithCrash
	depVoteRequestHeld
	depAckMerged
	depLatePromise
	depNoticeShape
	depNoticeToCandidate
	depEqualTermPreVote
	depStalePreVote
	depPreCandidateYields
	depQuorumClock
	depOrderOfNobody
	depOrderRepeated
	depTransferRefused
	depTransferDeclined
	depChangeRefused
	depSimpleSet
	depLeaveSooner
	depStuckWithoutAdvice
	depAppendBeyondCommit
	depHeartbeatCommit
	depEmptyAppend
	depAppendAgain
	depProbeLater
	depAppendCommit
	depFarewell
	depRoundRepeated
	depRoundsBatched
	depReadNotLeader
	depReadRefusal
	depReadRefused
	depReadSoleVoter
	depReadTwice
	depReadOfRemoved
	depReadAtChange
	depSnapshotAlone
	depSnapshotOfOthers
	depSoleVoterClock
	depElectionClock
	departures
)

// row is what the table says of a departure.
type row struct{ id, what, why string }

// table is the list of all departures. docs/divergence.md has the same rows.
var table = [departures]row{
	depCommitAdvice: {
		"commit-advice", "our messages of elections carry a commit index and its term, and a log that holds that entry takes it (here: the reference is told)",
		"a log that holds that entry is equal up to it, whoever says so; elections then free nodes that cannot campaign (D43)",
	},
	depAdvisedNotToStand: {
		"advised-not-to-stand", "whoever learns by such advice of a change that has not taken effect gives the election up (here: the reference loses it)",
		"not standing is always safe; with the older membership it could win a majority that decides nothing",
	},
	depRemovedYields: {"removed-yields", "a candidate that learns that it is no voter any more becomes follower; the reference stands on (here: it loses)", "not standing is always safe"},
	depCountAtChange: {"count-at-change", "a change of the voters counts a candidate's votes anew at once; the reference at the next answer (here: counts again)", "the votes are counted by the membership in effect, and electable is asked again"},
	depHeldLonger: {
		"held-longer", "one side says at an earlier step what the other holds until a later write is durable",
		"each promise waits for what it vouches for; the reference waits for its newest write, ours for the one that matters",
	},
	depAppliedLater: {
		"applied-later", "after a change of term the reference regards entries as durable one write later, and applies them then",
		"applying later is always safe; what hangs on it (who may campaign) is asked for after the write",
	},
	depLostWithCrash: {"lost-with-crash", "as held-longer, but the node crashed before the other side said it", "a message may be lost"},
	depVoteRequestHeld: {
		"vote-request-held", "requests for votes wait until the term and the own vote are durable; the reference sends them at once (here: held, too)",
		"sending later is sending over a slower network",
	},
	depAckMerged:   {"ack-merged", "one acknowledgement of ours stands for several of the reference's", "an acknowledgement of i says all that one of less says"},
	depLatePromise: {"late-promise", "the reference tells a promise of an earlier term after the term rose; ours is dropped", "its receiver ignores it, or it is lost"},
	depNoticeShape: {
		"notice-shape", "an old leader is told the new term by an empty heartbeat reply; by an acknowledgement of 0 in the reference",
		"both only carry a term; ours means nothing to a leader of that very term",
	},
	depNoticeToCandidate: {
		"notice-to-candidate", "a request for a vote, or a snapshot, of an old term is answered with the new term; the reference is silent",
		"a stale candidate catches up sooner; a term learned late or early is safe",
	},
	depEqualTermPreVote: {
		"equal-term-pre-vote", "a pre-vote for a term that is already reached is refused; the reference may grant it",
		"the election would fail: refusing tells the term at once",
	},
	depStalePreVote: {
		"stale-pre-vote", "a granted pre-vote counts only for the term after ours; the reference counts one for its own term, too (here: not delivered to it)",
		"a pre-vote promises nothing, counting fewer is safe",
	},
	depPreCandidateYields: {
		"pre-candidate-yields", "who votes for somebody while pre-candidate becomes follower; the reference stays pre-candidate (here: it is refused the rest of its pre-votes)",
		"giving up a pre-election is always safe",
	},
	depQuorumClock: {
		"quorum-clock", "a leader that no majority answers steps down after one election timeout of silence; the reference at the next multiple (here: told to check twice)",
		"stepping down is always safe",
	},
	depOrderOfNobody: {
		"order-of-nobody", "an order to campaign is obeyed only if it comes from the known leader; the reference obeys anybody of its term (here: not delivered to it)",
		"not campaigning is always safe",
	},
	depOrderRepeated:    {"order-repeated", "the reference repeats an order to campaign at each acknowledgement", "it may be lost or repeated anyway"},
	depTransferRefused:  {"transfer-refused", "a transfer is refused with a reason (in progress, unreachable, no voter), and one to oneself does nothing, where the reference replaces or ignores it (here: not asked)", "refusing is always safe"},
	depTransferDeclined: {"transfer-declined", "a transfer ends when its target declines, cannot be reached or needs a snapshot; the reference's waits for the timeout (here: ended)", "ending a transfer is always safe"},
	depChangeRefused:    {"change-refused", "a change is refused with a reason where the reference appends an empty entry, or takes it (here: not asked)", "refusing is always safe"},
	depSimpleSet: {
		"simple-set", "a set of changes that moves one voter at most takes effect at once; the reference enters a joint configuration for every set of two (here: given the changes one by one)",
		"majorities of voters that differ by one meet (thesis section 4.1); learners decide nothing",
	},
	depLeaveSooner: {
		"leave-sooner", "a joint configuration is left as soon as a transfer of leadership is over; the reference waits for the next entry to be applied (here: asked to leave)",
		"any moment is right once the joint configuration is in effect and an entry of the term is committed",
	},
	depStuckWithoutAdvice: {
		"stuck-without-advice", "if only nodes that may not lead know that a change is committed, nobody is elected by the reference's messages any more; by ours somebody is (here: ours carry the rest)",
		"as commit-advice: it is what the advice is for (D43)",
	},
	depAppendBeyondCommit: {
		"append-beyond-commit", "of an append that begins below the commit index, what lies beyond is taken; the reference takes nothing (here: it gets that part only)",
		"what is committed is in every later leader's log, so the rest follows it as the leader says",
	},
	depHeartbeatCommit: {
		"heartbeat-commit", "a heartbeat's commit index counts only as far as the log has been compared with this leader's since it became ours (here: cut for the reference)",
		"a lower commit index is always safe; the leader tells it again with an append",
	},
	depEmptyAppend:  {"empty-append", "one side sends an append without entries that the other does not, for the commit index or to probe", "when to say what is known is taste; it says nothing but the log and commit index of the leader, which is checked"},
	depAppendAgain:  {"append-again", "one side sends entries again, or sooner after a loss, where the other probes or waits", "as empty-append; entries are checked against the leader's log"},
	depProbeLater:   {"probe-later", "one side starts replicating at another step or place than the other", "as empty-append"},
	depAppendCommit: {"append-commit", "the same append with another commit index: of before or after the step", "each is a commit index of this leader, which is checked"},
	depFarewell:     {"farewell", "a leader that is removed tells the others the commit index before it falls silent", "it is still leader of its term when it says it"},
	depRoundRepeated: {
		"round-repeated", "heartbeats repeat the number of the latest read round; the reference's carry one only while a read waits",
		"an answer confirms leadership at the time of the heartbeat whether a read waits or not",
	},
	depRoundsBatched: {"rounds-batched", "reads that waited for the first commit of a term share one round; the reference begins one for each", "one confirmation after all of them were asked is enough for each"},
	depReadNotLeader: {"read-not-leader", "a forwarded read that meets no leader of its term is refused; the reference passes it on or drops it (here: dropped)", "the reader is told and asks again"},
	depReadRefusal:   {"read-refusal", "a refusal of a read travels; the reference has none", "it carries a term and no index"},
	depReadRefused:   {"read-refused", "a read ends with a reason after an election timeout or a change of role or leader; the reference may answer it later or never", "a refused read tells nothing"},
	depReadSoleVoter: {"read-sole-voter", "a sole voter answers reads after an entry of its term is committed; the reference at once", "waiting is always safe"},
	depReadAtChange:  {"read-at-change", "a change of the voters may confirm reads at once; in the reference the next heartbeat reply does", "a majority of the voters in effect has answered"},
	depReadOfRemoved: {"read-of-removed", "the answer of a leader that is removed meanwhile counts while nobody else is known to lead; the reference drops answers of strangers", "the index was confirmed by a majority while it led"},
	depReadTwice:     {"read-twice", "a repeated forwarded read is answered once; by the reference each time", "the first answer stands"},
	depSnapshotAlone: {
		"snapshot-alone", "one side sends a snapshot at another step: ours once per election timeout after a failure and not to who is silent, the reference at the next sign of life, it probes behind the snapshot as soon as the host says that it arrived, and sends one in the step that takes it out of office",
		"a snapshot that is not needed is answered with what is held; its index, term and membership are checked",
	},
	depSnapshotOfOthers: {"snapshot-of-others", "a snapshot made before its receiver was a member is installed like any other; the reference ignores it (here: delivered to neither)", "the receiver becomes a member by the log that follows"},
	depSoleVoterClock:   {"sole-voter-clock", "a sole voter campaigns at its first tick after a restart; the reference waits for its timeout (here: clock set)", "an early election is always safe"},
	depElectionClock:    {"election-clock", "the election clock starts afresh with each change of role, at fewer occasions in the reference (here: clock set)", "clocks are for liveness; safety needs none"},
}

// tally counts departures.
type tally [departures]int

func (t *tally) add(other *tally) {
	for i, n := range other {
		t[i] += n
	}
}

// print writes the table with its counts.
func (t *tally) print(w io.Writer, steps int) {
	for i, n := range t {
		if n > 0 {
			fmt.Fprintf(w, "%12d  %6.3f%%  %-22s %s\n", n, 100*float64(n)/float64(max(steps, 1)), table[i].id, table[i].what)
		}
	}
}

func (t *tally) sum() (sum int) {
	for _, n := range t {
		sum += n
	}
	return sum
}

func (t *tally) kinds() (kinds int) {
	for _, n := range t {
		if n > 0 {
			kinds++
		}
	}
	return kinds
}
