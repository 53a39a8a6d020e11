package steward

import "time"

// MaxNodes is how many nodes a cluster has at most, those that were removed not counted: what clients are told (client/protocol.MaxNodes), twice
// what is tested, and no more than a group, group 0 for one, can have members.
const MaxNodes = 128

// Limits of what a steward has under way, with the reason of each.
const (
	// maxTasks bounds steps and replicas under way at once: enough that one slow group holds nobody up, few beside
	// the requests of clients.
	maxTasks = 64
	// maxPlanned bounds the commands of one plan that are proposed before the plan is made anew.
	maxPlanned = 64
	// taskTimeout bounds one step. What it was about to do is found again.
	taskTimeout = 10 * time.Second
	// restAfterError keeps a step that fails from being tried with every look.
	restAfterError = 500 * time.Millisecond
	// restAfterRefusal is what a damaged replica waits before it is told of again: what stands against it is another repair, most likely.
	restAfterRefusal = 2 * time.Second
	// restAfterTransfer is longer: a leader that tries to hand over takes no proposals meanwhile.
	restAfterTransfer = 10 * time.Second
	// lookEvery is how often a steward looks though nobody woke it, as long as something is under way; idleLooks is how many
	// of these it leaves out when nothing is: a look goes over every group of the node.
	lookEvery = 200 * time.Millisecond
	idleLooks = 10

	// importPause is how long an import waits before it tries or looks again: short beside an election.
	importPause = 50 * time.Millisecond

	// admitTimeout bounds how long a member works on one node's join: several elections.
	admitTimeout = 20 * time.Second
	// attempts bounds how often a command is decided anew because the topology changed meanwhile.
	attempts = 16

	// tokenLife is how long a join token is good for, long enough to carry it from one terminal to another.
	tokenLife = 10 * time.Minute
	// tokenWait is how long a member waits to hear of a token that it does not know: group 0's log is some milliseconds behind,
	// an election at most.
	tokenWait = time.Second

	// maxRequest and maxText bound what a joiner says, maxReply what a member answers: a catalog of 10,000 groups has
	// about a megabyte.
	maxRequest = 64 << 10
	maxText    = 512
	maxReply   = 16 << 20
)
