package flotilla

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"flotilla/catalog"
	"flotilla/catalog/birth"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"

	"github.com/quic-go/quic-go"
)

// Config says what a node is. Pass it by value; what is zero takes the default, or what the data
// directory says.
type Config struct {
	// Dir is the data directory; made with mode 0700. Required.
	Dir string
	// NodeID is required on the first start from Dir; later it may be 0, and contradicting Dir is an error.
	NodeID NodeID
	// Cluster is the cluster's name as in the certificates. Default "flotilla", or what Dir says.
	Cluster string

	// Listen is the UDP address for peers and native clients; default 127.0.0.1:7400, port 0 any that is free. Conn,
	// when set, is used instead and is closed by the node.
	Listen string
	Conn   net.PacketConn
	// Advertise is what others dial. Default: the address in InitialCluster, else the one listened on.
	Advertise string
	// HTTPAddr is told to the cluster, so that clients find the node's HTTP side. May be empty.
	HTTPAddr string
	// Version is that of the program, for the status of every node: up to 64 visible ASCII characters. May be empty.
	Version string

	// InitialCluster is the fixed set of nodes a new cluster is born with, the same at each of them. Bootstrap is
	// the same with this node alone. Either is needed on the first start from Dir.
	InitialCluster map[NodeID]string
	Bootstrap      bool
	// Join names members of a running cluster, one of which takes this node in at its first start from Dir: it gets
	// what placement gives it, without a human. Later starts need it no more and ignore it. JoinToken, from Admin.JoinToken, gets
	// the node a certificate into TLSDir when there is none.
	Join      []string
	JoinToken string
	// Groups and Replication count when the cluster is born: the data groups 1 to Groups, each with up to
	// Replication voters. Defaults 4 and 3.
	Groups      int
	Replication int

	// TLS is who the node is; TLSDir (default Dir/tls) is read when it is nil.
	TLS    *pki.Source
	TLSDir string

	// Heartbeat is the tick of the node, ElectionTimeout the shortest silence after which a leader is replaced.
	// Defaults 100 ms and 1 s.
	Heartbeat       time.Duration
	ElectionTimeout time.Duration

	// SnapshotThreshold is the bytes of log after which a group's state is written as a snapshot and the log before it let go of;
	// default 64 MiB. It counts for machines that are a Snapshotter; others keep their whole log. Files of the log, which all groups share, are
	// four times as large, between 16 and 256 MiB; some of them are there at any time. SnapshotChunk and
	// SnapshotRate are bytes, and bytes per second, of writing and sending them. Defaults 256 KiB, 32 MiB/s; no chunk takes longer than a quarter
	// of a second.
	SnapshotThreshold int64
	SnapshotChunk     int64
	SnapshotRate      int64
	// ScrubInterval is how long after a pass over all files, which looks for rot, the next one begins. Default an hour; negative is never.
	ScrubInterval time.Duration

	// NewMachine makes the state machine of a data group. Required.
	NewMachine func(GroupID) StateMachine
	// Vet, when not nil, judges each command of a data group before it is proposed; its error refuses the command. A
	// machine that fails on what it cannot read wants one: in the log, one bad command takes the group out of
	// service on every node. Called by any goroutine.
	Vet func(command []byte) error
	// Kinds are further kinds of machines by name, for groups made by Admin.CreateGroup. All nodes need the same.
	Kinds map[string]Kind
	// ClientConn takes over connections that speak the client protocol, in a goroutine of their own; nil refuses them.
	ClientConn func(*quic.Conn)
	// catalogSpace tells the free disk space for the catalog, by default the operating system's. Tests only.
	catalogSpace func(dir string) (int64, error)
	// Logger gets the node's events; default none. For its metrics, see package server/metrics.
	Logger *slog.Logger
}

// Kind is one kind of state machine, as NewMachine and Vet are the one without a name.
type Kind struct {
	New func(GroupID) StateMachine
	Vet func(command []byte) error
}

// Defaults and limits of a Config, with the reason of each.
const (
	defaultCluster     = "flotilla"
	defaultListen      = "127.0.0.1:7400" // loopback: nothing is exposed that nobody asked for
	defaultGroups      = 4                // twice the cores of a small machine
	defaultReplication = 3
	defaultHeartbeat   = 100 * time.Millisecond
	defaultElection    = time.Second
	defaultScrub       = time.Hour // rot is rare; what counts is that it is found before the second copy rots

	maxGroups   = 10_000 // tested up to here
	maxReplicas = 9      // larger quorums only cost
	// minElectionBeats keeps one lost heartbeat from costing a leadership.
	minElectionBeats = 3
	minHeartbeat     = time.Millisecond
	// Bulk at this rate does not slow the control lane down (performance, known costs).
	defaultRate = 32 << 20
	minRate     = 64 << 10
	// chunksPerSecond is how often a transfer tells that it goes on, at least: several share the rate, and silence ends them.
	chunksPerSecond  = 4
	defaultThreshold = 64 << 20
	minThreshold     = 4 << 10
	// A file of the log holds some thresholds, so that the log on disk is in proportion to what is alive in it. It is no smaller than
	// what is copied forward in passing, and no larger than a start can read at once.
	thresholdsPerLogFile = 4
	minLogFile           = 16 << 20
	maxLogFile           = 256 << 20
	maxElection          = time.Hour
)

// Validate reports everything that is wrong with c by itself, joined, and changes nothing. What contradicts
// the data directory is found by Open.
func (c Config) Validate() error {
	var errs []error
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, &ConfigError{Text: fmt.Sprintf(format, args...)})
		}
	}
	d := c.populated()
	fault(c.Dir == "", "no data directory: set Dir")
	fault(c.NodeID > wire.MaxNodeID, "node id %d: 1 to 2^63-1", c.NodeID)
	if err := pki.ValidateCluster(d.Cluster); err != nil {
		fault(true, "%v", err)
	}
	fault(!catalog.ValidVersion(c.Version), "version %q: up to 64 visible ASCII characters", c.Version)
	fault(c.NewMachine == nil, "no state machines: set NewMachine")
	fault(c.Bootstrap && len(c.InitialCluster) > 0, "a cluster is born by bootstrap or by an initial cluster, not both")
	fault(len(c.Join) > 0 && (c.Bootstrap || len(c.InitialCluster) > 0), "a node joins a cluster or is born with one, not both")
	for name, k := range c.Kinds {
		fault(name == "" || k.New == nil, "kind %q of state machines: it needs a name and New", name)
	}
	errs = append(errs, birth.CheckNodes(c.InitialCluster)...)
	fault(c.Groups < 0 || c.Groups > maxGroups, "%d groups: 1 to %d", c.Groups, maxGroups)
	fault(c.Replication < 0 || c.Replication > maxReplicas, "replication %d: 1 to %d", c.Replication, maxReplicas)
	fault(d.Heartbeat < minHeartbeat, "heartbeat %v: %v at least", d.Heartbeat, minHeartbeat)
	fault(d.ElectionTimeout < minElectionBeats*d.Heartbeat || d.ElectionTimeout > maxElection,
		"election timeout %v: at least %d heartbeats (%v), at most %v", d.ElectionTimeout, minElectionBeats,
		minElectionBeats*d.Heartbeat, maxElection)
	fault(d.SnapshotThreshold < minThreshold, "snapshot threshold of %d bytes: %d at least", d.SnapshotThreshold, minThreshold)
	fault(d.SnapshotChunk < snapshotstream.MinChunk || d.SnapshotChunk > snapshotstream.MaxChunk,
		"snapshot chunk of %d bytes: %d to %d", d.SnapshotChunk, snapshotstream.MinChunk, snapshotstream.MaxChunk)
	fault(d.SnapshotRate < minRate, "snapshot rate of %d bytes per second: %d at least", d.SnapshotRate, minRate)
	return errors.Join(errs...)
}

// logFile returns the size in bytes at which a file of the log is followed by the next one.
func (c *Config) logFile() int64 {
	return max(minLogFile, thresholdsPerLogFile*min(c.SnapshotThreshold, maxLogFile/thresholdsPerLogFile))
}

// populated returns c with the defaults that do not depend on the data directory. Cluster, Groups and
// Replication stay as given in the catalog's check, so that silence contradicts nothing.
func (c Config) populated() Config {
	c.Cluster = cmp.Or(c.Cluster, defaultCluster)
	c.Listen = cmp.Or(c.Listen, defaultListen)
	c.Groups = cmp.Or(c.Groups, defaultGroups)
	c.Replication = cmp.Or(c.Replication, defaultReplication)
	c.Heartbeat = cmp.Or(c.Heartbeat, defaultHeartbeat)
	c.ElectionTimeout = cmp.Or(c.ElectionTimeout, defaultElection)
	c.SnapshotThreshold = cmp.Or(c.SnapshotThreshold, defaultThreshold)
	c.SnapshotChunk = cmp.Or(c.SnapshotChunk, snapshotstream.DefaultChunk)
	c.SnapshotRate = cmp.Or(c.SnapshotRate, defaultRate)
	c.SnapshotChunk = min(c.SnapshotChunk, max(c.SnapshotRate/chunksPerSecond, snapshotstream.MinChunk))
	c.ScrubInterval = cmp.Or(c.ScrubInterval, defaultScrub)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
