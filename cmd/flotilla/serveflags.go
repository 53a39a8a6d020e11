package main

import (
	"errors"
	"log/slog"
	"math"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"flotilla"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"

	"github.com/urfave/cli/v2"
)

// serveFlags are the flags of serve; config print shows the same.
func serveFlags() []cli.Flag {
	return []cli.Flag{
		text("node-id", "", "this node's `ID`, 1 or more; required on the first start"),
		text("data", "./flotilla-data", "data `DIR`, made with mode 0700"),
		text("listen", "127.0.0.1:7400", "UDP `HOST:PORT` for peers and native clients"),
		text("advertise", "", "`HOST:PORT` that others dial (default: as in --initial-cluster, else --listen)"),
		text("http", "127.0.0.1:7480", "TCP `HOST:PORT` of the HTTP API, health, metrics and dashboard"),
		toggle("http-tls", "serve HTTPS with the node's certificate; this or --http-token-file is needed off loopback, where it demands a client certificate unless there is a token"),
		text("http-token-file", "", "`FILE` with the bearer token that HTTP requests must carry, mode 0600"),
		text("cluster", "flotilla", "`NAME` of the cluster; must match the certificates"),
		text("initial-cluster", "", "first start of a fixed set: `1=h:p,2=h:p,3=h:p`, the same at every node"),
		toggle("bootstrap", "first start of a one-node cluster"),
		text("join", "", "first start into an existing cluster: `h:p[,h:p]` of members"),
		text("join-token-file", "", "`FILE` with a token of 'flotilla member token', mode 0600: gets the node its certificate when it joins"),
		text("groups", "4", "`N` data groups, when the cluster is born"),
		text("replication", "3", "`N` voters per group, when the cluster is born"),
		text("tls-dir", "", "`DIR` with ca.crt, node.crt, node.key (default: DATA/tls)"),
		text("heartbeat", "100ms", "interval of heartbeats, a `DURATION`"),
		text("election-timeout", "1s", "silence after which a leader is replaced, a `DURATION`"),
		text("snapshot-threshold", "64MiB", "`SIZE` of a group's log after which its state is written as a snapshot"),
		text("snapshot-chunk", "256KiB", "`SIZE` of the chunks of snapshots"),
		text("snapshot-rate", "32MiB/s", "`SIZE` per second at which snapshots are written and sent"),
		text("scrub-interval", "1h", "time between two passes over all files that look for rot, a `DURATION`; 0 is never"),
		text("drain-timeout", "10s", "how long SIGTERM or SIGINT may take, a `DURATION`; a second signal stops at once"),
		text("log-level", "info", "`LEVEL`: debug, info, warn or error"),
		text("log-format", "text", "`FORMAT` of the log on stderr: text or json"),
		toggle("debug", "serve pprof under /debug/pprof/"),
		configFlag(),
	}
}

// serveOptions are serve's settings, parsed.
type serveOptions struct {
	node      flotilla.Config
	cluster   string
	http      httpOptions
	drain     time.Duration
	logLevel  slog.Level
	logFormat string
}

// readServe parses and checks s; faults stay in s.
func readServe(s *settings) serveOptions {
	o := serveOptions{
		node: flotilla.Config{
			Dir: s.text("data"), Listen: s.address("listen"), Advertise: s.address("advertise"), HTTPAddr: s.address("http"),
			NodeID:         flotilla.NodeID(s.number("node-id", 1, uint64(wire.MaxNodeID))),
			InitialCluster: s.initialCluster(), Bootstrap: s.on("bootstrap"), TLSDir: s.text("tls-dir"),
			Heartbeat:       s.duration("heartbeat", time.Millisecond, time.Hour),
			ElectionTimeout: s.duration("election-timeout", time.Millisecond, time.Hour),
		},
		drain:     s.duration("drain-timeout", 0, time.Hour),
		logFormat: s.oneOf("log-format", "text", "json"),
	}
	o.cluster = s.cluster()
	s.birthOnly(&o.node)
	if o.node.TLSDir == "" {
		o.node.TLSDir = filepath.Join(o.node.Dir, "tls")
	}
	if err := o.logLevel.UnmarshalText([]byte(s.oneOf("log-level", "debug", "info", "warn", "error"))); err != nil {
		o.logLevel = slog.LevelInfo
	}
	o.http = httpOptions{
		addr: o.node.HTTPAddr, tls: s.on("http-tls"), debug: s.on("debug"), tokenFile: s.text("http-token-file"),
	}
	o.node.SnapshotThreshold = s.bytes("snapshot-threshold", 64<<10, 1<<40)
	o.node.SnapshotChunk = s.bytes("snapshot-chunk", 4<<10, 4<<20)
	o.node.SnapshotRate = s.bytes("snapshot-rate", 64<<10, 1<<40)
	if o.node.ScrubInterval = s.duration("scrub-interval", 0, 10_000*time.Hour); o.node.ScrubInterval == 0 {
		o.node.ScrubInterval = -1
	}
	if o.node.Dir == "" {
		s.faults = append(s.faults, errors.New("--data is empty"))
	}
	s.refuseWildcard(o.node)
	s.refuseExposedHTTP(o.http)
	s.refuseElections(o.node)
	return o
}

// birthOnly fills in what counts when the cluster is born: given values only, so that on a restart
// silence contradicts nothing (P33).
func (s *settings) birthOnly(c *flotilla.Config) {
	if s.given("cluster") {
		c.Cluster = s.text("cluster")
	}
	if n := s.number("groups", 1, 10_000); s.given("groups") {
		c.Groups = int(n)
	}
	if n := s.number("replication", 1, 9); s.given("replication") {
		c.Replication = int(n)
	}
	c.Join = s.addresses("join")
	if x := s.find("bootstrap"); c.Bootstrap && len(c.InitialCluster) > 0 {
		s.fault(x, "give --initial-cluster or --bootstrap, not both")
	}
	if x := s.find("join"); len(c.Join) > 0 && (c.Bootstrap || len(c.InitialCluster) > 0) {
		s.fault(x, "a node joins a cluster, or is born with one by --initial-cluster or --bootstrap: give one of them")
	}
	if x := s.find("join-token-file"); x.value != "" {
		token, err := readToken("join token", x.value)
		if err == nil {
			_, err = pki.ParseJoinToken(string(token))
		}
		if err != nil {
			s.fault(x, "%v", err)
		}
		c.JoinToken = string(token)
	}
}

func (s *settings) refuseElections(c flotilla.Config) {
	if c.ElectionTimeout < 3*c.Heartbeat {
		s.fault(s.find("election-timeout"), "%v is less than three heartbeats of %v", c.ElectionTimeout, c.Heartbeat)
	}
}

// initialCluster parses 1=h:p,2=h:p.
func (s *settings) initialCluster() map[flotilla.NodeID]string {
	x := s.find("initial-cluster")
	if x.value == "" {
		return nil
	}
	list := map[flotilla.NodeID]string{}
	for part := range strings.SplitSeq(x.value, ",") {
		id, addr, ok := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.ParseUint(id, 10, 64)
		if !ok || err != nil || n == 0 || n > math.MaxInt64 {
			s.fault(x, "%q is not ID=HOST:PORT with an ID of 1 or more", part)
			continue
		}
		if err := checkAddress(addr); err != nil {
			s.fault(x, "node %d: %v", n, err)
		}
		if _, twice := list[flotilla.NodeID(n)]; twice {
			s.fault(x, "node %d is listed twice", n)
		}
		list[flotilla.NodeID(n)] = addr
	}
	return list
}

// refuseWildcard demands an address that others can dial, before a node is born with none.
func (s *settings) refuseWildcard(c flotilla.Config) {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil || !c.Bootstrap || c.Advertise != "" {
		return
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		s.fault(s.find("listen"), "nobody can dial %s: say what others dial with --advertise HOST:PORT", c.Listen)
	}
}

// refuseExposedHTTP demands TLS or a token where others than this machine can connect.
func (s *settings) refuseExposedHTTP(h httpOptions) {
	if h.addr == "" || isLoopback(h.addr) || h.tls || h.tokenFile != "" {
		return
	}
	s.fault(s.find("http"), "%s is not loopback: add --http-tls or --http-token-file FILE", h.addr)
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
