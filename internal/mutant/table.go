package mutant

import "slices"

// All returns the table: the core first, then by storeys.
func All() []Mutant { return slices.Concat(ofCore(), ofCatalogs(), ofHosts()) }

// The mutants of formats, store, catalog, fence, transport, loop, machine, server.
const (
	UnlimitedLength Name = "unlimited-length"

	SkipFsync       Name = "skip-fsync"
	SkipDirFsync    Name = "skip-dir-fsync"
	ForgetReadCRC   Name = "forget-read-crc"
	ForgetReplayCRC Name = "forget-replay-crc"
	ForgetStateCRC  Name = "forget-state-crc"
	StoreGoesOn     Name = "store-goes-on"

	AppliedApart      Name = "applied-apart"
	ApplyAgain        Name = "apply-again"
	CatalogSkipsFsync Name = "catalog-skips-fsync"
	CatalogGoesOn     Name = "catalog-goes-on"
	CountTermTwice    Name = "count-term-twice"
	RegisterRemoved   Name = "register-removed"
	ForgetLost        Name = "forget-lost"
	ForgetSince       Name = "forget-since"
	ReportBackwards   Name = "report-backwards"
	AdmitWithReplicas Name = "admit-with-replicas"
	ReviveGroup       Name = "revive-group"
	JoinUnadmitted    Name = "join-unadmitted"
	SpendTwice        Name = "spend-twice"
	ReserveTwice      Name = "reserve-twice"
	CreateReserved    Name = "create-reserved"
	ForgetImport      Name = "forget-import"

	KeepLost            Name = "keep-lost"
	ChangeUnreported    Name = "change-unreported"
	ReplicaBeforeReport Name = "replica-before-report"
	AddBeforeEnded      Name = "add-before-ended"
	BreakQuorum         Name = "break-quorum"
	AdministerBehind    Name = "administer-behind"
	AddVoters           Name = "add-voters"
	DropBeforeAll       Name = "drop-before-all"
	DropQuorum          Name = "drop-quorum"
	RemoveLeader        Name = "remove-leader"
	ChangeWithoutBase   Name = "change-without-base"
	MoveAllAtOnce       Name = "move-all-at-once"
	RetireMember        Name = "retire-member"

	CallOffAtWork         Name = "call-off-at-work"
	ForgetBeforeTombstone Name = "forget-before-tombstone"
	OpenEarly             Name = "open-early"

	AcceptStaleEpoch     Name = "accept-stale-epoch"
	AcceptStaleAuthority Name = "accept-stale-authority"
	AcceptForeignCluster Name = "accept-foreign-cluster"
	AcceptRemovedPeer    Name = "accept-removed-peer"
	StampWhenQueued      Name = "stamp-when-queued"
	UnlimitedFrame       Name = "unlimited-frame"

	ForgetChunkCRC   Name = "forget-chunk-crc"
	PublishUnsynced  Name = "publish-unsynced"
	SkipSnapDirFsync Name = "skip-snap-dir-fsync"
	MarkUnsynced     Name = "mark-unsynced"
	AdoptUnverified  Name = "adopt-unverified"
	ImportMembers    Name = "import-members"

	TellBeforeSync    Name = "tell-before-sync"
	NodeGoesOn        Name = "node-goes-on"
	AcceptRemovedNode Name = "accept-removed-node"
	BumpTwice         Name = "bump-twice"
	KeepLaidLog       Name = "keep-laid-log"

	DropSessions         Name = "drop-sessions"
	RepeatCommands       Name = "repeat-commands"
	UnlimitedClientFrame Name = "unlimited-client-frame"
	HalfStream           Name = "half-stream"
)

// ofCatalogs are those of formats, log store, catalog and placement.
func ofCatalogs() []Mutant {
	return []Mutant{
		{UnlimitedLength, "believes a declared count of elements", "raft/wire", "raft/wire TestBombs", 0},

		{SkipFsync, "skips fsync of the log", "raft/logstore", "raft/logstore TestNeverUnsynced", 0},
		{SkipDirFsync, "skips fsync of the log's directory", "raft/logstore", "raft/logstore TestPowerCut", 0},
		{ForgetReadCRC, "reads a log record without comparing its CRC", "raft/logstore", "raft/logstore TestFlipWhileOpen", 0},
		{ForgetReplayCRC, "replays a log record without comparing its CRC", "raft/logstore", "raft/logstore TestQuarantineStays", 0},
		{ForgetStateCRC, "takes a group's saved state without comparing its CRC", "raft/logstore", "raft/logstore TestEveryBitOfAStateCounts", 0},
		{StoreGoesOn, "takes commits after one whose outcome is unknown", "raft/logstore", "raft/logstore TestFenceAfterFailedCommit", 0},

		{AppliedApart, "applied index in a transaction of its own", "catalog", "catalog TestKillAtEveryWrite", 0},
		{ApplyAgain, "applies commands again that were applied before a restart", "catalog", "catalog TestReplayIsIdempotent", 0},
		{CatalogSkipsFsync, "skips fsync of the catalog", "catalog", "catalog TestNeverUnsynced", 0},
		{CatalogGoesOn, "takes changes after one whose outcome is unknown", "catalog", "catalog TestFencedAfterFailedCommit", 0},
		{CountTermTwice, "a term raises the epoch twice", "catalog", "catalog TestEpochCountsTerms", 0},
		{RegisterRemoved, "a removed node may register again", "catalog", "catalog TestRemovedStaysRemoved", 0},

		{ForgetLost, "takes any report for the proof that a lost replica was taken out", "catalog", "catalog TestAdmittedAnewItsReplicasAreLost", 0},
		{ForgetSince, "lets a replica that is made anew stand from the beginning", "catalog", "catalog TestAdmittedAnewItsReplicasAreLost", 0},
		{ReportBackwards, "takes an older report for the membership in effect", "catalog", "catalog TestReportsRise", 0},
		{AdmitWithReplicas, "admits another disk of a node as if it held the replicas of the first", "catalog", "catalog TestAdmittedAnewItsReplicasAreLost", 0},
		{ReviveGroup, "makes a group anew under the id of a deleted one", "catalog", "catalog TestDeletedGroupStaysDeleted", 0},
		{BreakQuorum, "gives a damaged replica up though the others decide nothing", "catalog", "catalog TestBrokenReplica", 0},
		{JoinUnadmitted, "joins by a state that does not know the directory", "catalog", "catalog TestJoin", 0},
		{SpendTwice, "takes a join token twice", "catalog", "catalog TestTokens", 0},
		{ReserveTwice, "gives out an id that an import has reserved", "catalog", "raft/rafttest/hostsim TestImportsAreWhole", 0},
		{CreateReserved, "makes a group under an id that an import has reserved", "catalog", "raft/rafttest/hostsim TestImportsAreWhole", 0},
		{ForgetImport, "leaves no tombstone of an import that is taken back", "catalog", "raft/rafttest/hostsim TestImportsAreWhole", 0},

		{KeepLost, "leaves a member whose disk is gone where it is", "catalog/placement", "catalog/placement TestNext", 0},
		{ChangeUnreported, "changes a membership before the last change was reported", "catalog/placement", "catalog/placement TestNext", 0},
		{ReplicaBeforeReport, "makes replicas where they are wanted, not where they were reported", "catalog/placement", "catalog/placement TestReplicas", 0},
		{AdministerBehind, "a node that is behind the epoch administers", "catalog/steward", ". TestBehindNodeAdministersNothing", 0},
		{AddBeforeEnded, "adds a node again whose first replica may still be there", "catalog/placement", "catalog/placement TestAddedAgainBeforeItWasEnded", 0},
		{AddVoters, "adds voters that were not learners", "catalog/placement", "catalog/placement TestNext", 0},
		{DropBeforeAll, "removes voters before those that are wanted vote", "catalog/placement", "catalog/placement TestNext", 0},
		{DropQuorum, "removes a voter that is alive although the others do not decide", "catalog/placement", "catalog/placement TestNext", 0},
		{RemoveLeader, "has the leader remove itself", "catalog/placement", "catalog/placement TestNext", 0},
		{ChangeWithoutBase, "proposes changes for whatever membership there is", "catalog/placement", "catalog/placement TestNext", 0},
		{MoveAllAtOnce, "sets all groups in motion at once", "catalog/placement", "catalog/placement TestMotionIsBounded", 0},
		{RetireMember, "removes a leaving node that group 0 still has", "catalog/placement", "catalog/placement TestPlan", 0},
		{CallOffAtWork, "takes back an import on which its process works", "catalog/placement", "raft/rafttest/hostsim TestImportsAreWhole", 0},
		{ForgetBeforeTombstone, "removes what an import has made so far before it is known to be taken back", "catalog/placement", "raft/rafttest/hostsim TestImportsAreWhole", 0},
		{OpenEarly, "lets commands into a replica whose group may be taken back", "catalog/placement", "raft/rafttest/hostsim TestImportsAreWhole", 0},
	}
}

// ofHosts are those of what a node runs upon them.
func ofHosts() []Mutant {
	return []Mutant{
		{AcceptStaleEpoch, "admits frames of a stale epoch", "epoch", "epoch TestAdmitBoundary", 0},
		{AcceptStaleAuthority, "lets a node act that has not applied the epoch", "epoch", "epoch TestAuthorityNeedsTheAppliedEpoch", 0},
		{AcceptForeignCluster, "talks to nodes of another cluster", "quictransport", "quictransport TestTwoClustersInOneProcess", 0},
		{AcceptRemovedPeer, "talks to nodes that were removed", "quictransport", "quictransport TestRemovedPeer", 0},
		{StampWhenQueued, "stamps a frame when it is queued, not when it is written", "quictransport", "quictransport TestStampIsPutOnWhenWritten", 0},
		{UnlimitedFrame, "believes a declared frame length", "quictransport/framing", "quictransport TestHostilePeer", 0},

		{ForgetChunkCRC, "takes a snapshot's chunk without comparing its CRC", "snapshotstream", "snapshotstream TestChunksAreCheckedOneByOne", 0},
		{PublishUnsynced, "installs a snapshot in pieces: its name is durable before its bytes are", "snapshotstream", "snapshotstream TestPowerCutWhileMaking", 0},
		{SkipSnapDirFsync, "skips fsync of the directory a snapshot comes to", "snapshotstream", "snapshotstream TestPowerCutWhileReceiving", 0},
		{MarkUnsynced, "notes bytes of a snapshot as received before they are durable", "snapshotstream", "snapshotstream TestPowerCutWhileReceiving", 0},
		{AdoptUnverified, "installs a received snapshot without verifying it whole", "snapshotstream", "snapshotstream TestWholeIsVerified", 0},
		{ImportMembers, "imports a state with the members that it had elsewhere", "snapshotstream/shelf", "raft/rafttest/hostsim TestImportsAreWhole", 0},

		{TellBeforeSync, "tells cores that a batch is durable before it is written", "raft/multiraft", "raft/multiraft TestCloseWithHungDisk", 0},
		{NodeGoesOn, "serves after a commit that failed", "raft/multiraft", "raft/multiraft TestFailedCommitFencesTheNode", 0},
		{AcceptRemovedNode, "hears a removed node that asks for votes", "raft/multiraft", "raft/multiraft TestRemovedNodeIsTold", 0},
		{BumpTwice, "proposes the epoch bump twice in a term", "raft/multiraft", "raft/multiraft TestMachinesUnderLoadAndLeaderChanges", 0},
		{KeepLaidLog, "leaves the log of a replica that nobody has taken up", "raft/multiraft", "raft/multiraft TestLaidLogEnds", 0},

		{DropSessions, "leaves the sessions out of a snapshot", "kv", "kv TestSnapshotGoesOnAlike", 0},
		{RepeatCommands, "a session's repeated command happens again", "kv", "kv TestRepeatedSequenceAppliesOnce", 0},
		{UnlimitedClientFrame, "believes a client's declared frame length", "client/protocol", "client/protocol TestDeclaredLengthsAreNotBelieved", 0},
		{HalfStream, "leaves a client's one-way streams open and unread", "server", "server TestHostileClientsAreCutOff", 0},
	}
}
