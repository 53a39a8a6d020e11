package mutant

// The mutants of the core and its helpers.
const (
	TwoVotes            Name = "two-votes"
	VoteShorterLog      Name = "vote-shorter-log"
	VoteBeforeDisk      Name = "vote-before-disk"
	RaiseTermForPreVote Name = "raise-term-for-pre-vote"
	RemovedRaisesTerm   Name = "removed-raises-term"
	AckUncompared       Name = "ack-uncompared"
	AckBeforeDisk       Name = "ack-before-disk"
	TruncateAgreed      Name = "truncate-agreed"
	BelieveHeartbeat    Name = "believe-heartbeat"

	InstallInParts       Name = "install-in-parts"
	ApplyWhileInstalling Name = "apply-while-installing"
	HeldAckAfterInstall  Name = "held-ack-after-install"

	CommitEarlierTerm    Name = "commit-earlier-term"
	CountLearner         Name = "count-learner"
	IncomingAlone        Name = "incoming-alone"
	ElectByIncoming      Name = "elect-by-incoming"
	ProposalNotSent      Name = "proposal-not-sent"
	LeadWithoutMajority  Name = "lead-without-majority"
	CampaignBehindChange Name = "campaign-behind-change"
	StandBeforeSince     Name = "stand-before-since"
	HelpBeforeSince      Name = "help-before-since"
	TakeLateAck          Name = "take-late-ack"
	TwoChanges           Name = "two-changes"
	PromoteFarBehind     Name = "promote-far-behind"
	ReadWithoutQuorum    Name = "read-without-quorum"
	ReadBeforeOwnCommit  Name = "read-before-own-commit"
	ReuseReadRound       Name = "reuse-read-round"
	ReuseReadNumber      Name = "reuse-read-number"
	ApplyTwice           Name = "apply-twice"

	KeepConflictingSuffix     Name = "keep-conflicting-suffix"
	ForgetInstalledMembership Name = "forget-installed-membership"
	CompactMembership         Name = "compact-membership"
	CountSentSnapshot         Name = "count-sent-snapshot"
	NeedlessSnapshot          Name = "needless-snapshot"
	AckSnapshotBeforeDisk     Name = "ack-snapshot-before-disk"
	OlderWriteVouches         Name = "older-write-vouches"
	OutgoingAlone             Name = "outgoing-alone"
	ElectByOutgoing           Name = "elect-by-outgoing"
	AskIncomingOnly           Name = "ask-incoming-only"
	NeverLeave                Name = "never-leave"
	LeaveDuringTransfer       Name = "leave-during-transfer"
	ChangeBeforeOwnCommit     Name = "change-before-own-commit"
	StepDownEarly             Name = "step-down-early"
	ExchangeInOneStep         Name = "exchange-in-one-step"
	LoseDemoted               Name = "lose-demoted"

	LeaseAfterTransfer Name = "lease-after-transfer"
	LeaseThroughChange Name = "lease-through-change"
	LeaseWithoutEnd    Name = "lease-without-end"
	BreakPromise       Name = "break-promise"
	SleepUnconfirmed   Name = "sleep-unconfirmed"
)

func ofCore() []Mutant {
	return []Mutant{
		{TwoVotes, "gives two votes in a term", "raft", "raft TestTranscripts/f04_vote_reply_after_disk", ByComparison},
		{VoteShorterLog, "votes for a candidate whose log is shorter", "raft", "raft TestVotesNeedALogAsLong", ByComparison},
		{VoteBeforeDisk, "says its vote before it is on disk", "raft", "raft TestTranscripts/f04_vote_reply_after_disk", ByComparison},
		{RaiseTermForPreVote, "raises the term for a pre-vote", "raft", "raft TestLeaseOnVotes", ByComparison},
		{RemovedRaisesTerm, "lets a removed node raise the term", "raft", "raft TestTranscripts/d48_removed_node", 0},
		{AckUncompared, "acknowledges what was not compared with the leader's log", "raft", "raft TestTranscripts/f07_verified_index", ByComparison},
		{AckBeforeDisk, "acknowledges entries before they are on disk", "raft", "raft TestTranscripts/d09_ack_after_sync", ByComparison},
		{TruncateAgreed, "truncates behind a late append that agrees", "raft", "raft TestLateAppendTakesNothingAway", ByComparison},
		{BelieveHeartbeat, "believes a heartbeat's commit index beyond what was compared", "raft", "raft TestTranscripts/f07_verified_index", ByComparison},
		{InstallInParts, "an installed snapshot's membership reaches the disk later than its log", "raft", "raft TestInstall", ByComparison},
		{ApplyWhileInstalling, "hands out entries while a snapshot is being installed", "raft", "raft TestNothingHappensDuringInstall", 0},
		{HeldAckAfterInstall, "says after an installation what was about to be said of the old log", "raft", "raft TestHeldAcknowledgementIsVoidAfterInstall", 0},
		{CommitEarlierTerm, "commits an entry of an earlier term by counting", "raft", "raft TestTranscripts/t01_figure_3_7", ByComparison},
		{CountLearner, "counts a learner in the quorum", "raft", "raft TestLearnersDoNotCount", ByComparison},
		{IncomingAlone, "decides by the incoming half of a joint configuration", "raft", "raft TestJointCommitNeedsBothHalves", ByComparison},
		{ElectByIncoming, "elects a leader by the incoming half of a joint configuration", "raft", "raft TestJointElectionNeedsBothHalves", ByComparison},
		{ProposalNotSent, "does not send what is proposed", "raft", "raft TestTranscripts/f18_commit_without_a_tick", ByComparison},
		{LeadWithoutMajority, "leads on without a majority", "raft", "raft TestCheckQuorum", ByComparison},
		{TakeLateAck, "takes the late answer of a replica that was taken out for one of the replica made anew", "raft", "raft TestLateAnswerOfAnEarlierLife", 0},
		{StandBeforeSince, "stands for election before it knows that it was made a member again", "raft", "raft TestMadeAnewDoesNotElectItself", 0},
		{HelpBeforeSince, "a replica made anew helps leaders and candidates that do not know of its being made anew", "raft", "raft TestOldLeaderIsNotHelpedByAReplicaMadeAnew", 0},
		{CampaignBehindChange, "campaigns with a committed change not applied", "raft", "raft TestTranscripts/d64_change_not_applied", 0},
		{TwoChanges, "proposes a change while another is under way", "raft", "raft TestOneChangeAtATime", ByComparison},
		{PromoteFarBehind, "promotes a learner 10,000 entries behind", "raft", "raft TestPromotable", 0},
		{ReadWithoutQuorum, "confirms a read without a quorum", "raft", "raft TestTranscripts/d31_late_confirmation", ByComparison},
		{ReadBeforeOwnCommit, "begins reads before its first commit", "raft", "raft TestTranscripts/d30_read_before_own_commit", ByComparison},
		{ReuseReadRound, "a read joins a round that began before it", "raft", "raft TestTranscripts/d31_late_confirmation", ByComparison},
		{ReuseReadNumber, "numbers reads alike in each life of a node", "raft", "raft TestReadNumbersOfTwoLivesDiffer", ByComparison},
		{ApplyTwice, "applies its last entry again after a restart", "raft", "raft TestRestore", 0},

		{KeepConflictingSuffix, "keeps a suffix that conflicts with an installed snapshot", "raft", "raft TestInstall", 0},
		{ForgetInstalledMembership, "installs a snapshot without its membership", "raft", "raft TestInstall", ByComparison},
		{CompactMembership, "lets go of a change of the membership that the disk has nowhere else", "raft", "raft TestCompactionCarriesTheMembership", 0},
		{CountSentSnapshot, "counts a snapshot when it is sent", "raft", "raft TestOnlyTheFollowerEndsASnapshot", ByComparison},
		{NeedlessSnapshot, "sends a snapshot on to who gets along by the log", "raft", "raft TestOnlyTheFollowerEndsASnapshot", ByComparison},
		{AckSnapshotBeforeDisk, "acknowledges a snapshot before the log has moved on disk", "raft", "raft TestInstall", ByComparison},
		{OlderWriteVouches, "takes an older write for the one that moves the log", "raft", "raft TestHeldAcknowledgementIsVoidAfterInstall", ByComparison},
		{OutgoingAlone, "decides by the outgoing half of a joint configuration", "raft", "raft TestJointCommitNeedsBothHalves", ByComparison},
		{ElectByOutgoing, "elects a leader by the outgoing half of a joint configuration", "raft", "raft TestJointElectionNeedsBothHalves", ByComparison},
		{AskIncomingOnly, "asks the incoming half of a joint configuration alone for votes", "raft", "raft TestJointElectionNeedsBothHalves", ByComparison},
		{NeverLeave, "never leaves a joint configuration", "raft", "raft TestSeveralVotersAtOnce", ByComparison},
		{LeaveDuringTransfer, "leaves a joint configuration while leadership is handed over", "raft", "raft TestNewLeaderLeaves", ByComparison},
		{ChangeBeforeOwnCommit, "proposes a change before an entry of its term is committed", "raft", "raft TestOneChangeAtATime", ByComparison},
		{StepDownEarly, "steps down while the outgoing half still counts it", "raft", "raft TestLeaderThatDoesNotStay", ByComparison},
		{ExchangeInOneStep, "exchanges voters in a simple step", "raft/membership", "raft/membership TestDecisionsOfAStepMeet", ByComparison},
		{LoseDemoted, "loses who is demoted when a joint configuration is left", "raft/membership", "raft/membership TestJointEndsWhereTheSetSays", ByComparison},

		{LeaseAfterTransfer, "keeps its lease after an order to campaign", "raft", "raft TestTransferVoidsTheLease", 0},
		{LeaseThroughChange, "keeps its lease over a change of the membership", "raft", "raft TestChangeInterruptsTheLease", 0},
		{LeaseWithoutEnd, "a lease once held never ends", "raft", "raft TestLeaseRead", 0},
		{BreakPromise, "votes and stands in spite of its promise to a leader", "raft", "raft TestPromise", 0},
		{SleepUnconfirmed, "puts a group to sleep in which a member may not know what is committed", "raft", "raft TestCanSleep", 0},
	}
}
