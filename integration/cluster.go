package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"flotilla/quictransport/quictest"
)

// Cluster is a set of flotilla processes with their certificates and data below one directory.
// Its methods are for one goroutine, but for those that only read endpoints.
type Cluster struct {
	Dir   string
	bin   string
	nodes []*node // node id i stands at i-1
	extra []string
	// grows says that node 1 was bootstrapped and the others join; else all are of one initial cluster.
	grows bool
	// joins are the nodes that join a cluster which was born by a list.
	joins []int
	// restored says that the nodes' directories are there before their first start.
	restored bool
	// certs is where authority and certificates are: Dir, or that of the cluster that this one is made of.
	certs string
}

type node struct {
	id         int
	peer, http string
	proc       *Process // nil when not running
}

// Status is the part of /v1/status that tests look at.
type Status struct {
	Epoch uint64 `json:"epoch"`
	Nodes []struct {
		ID       int    `json:"id"`
		State    string `json:"state"`
		Replicas int    `json:"replicas"`
	} `json:"nodes"`
	Groups []struct {
		ID       uint64 `json:"id"`
		Leader   uint64 `json:"leader"`
		Term     uint64 `json:"term"`
		Commit   uint64 `json:"commit"`
		Applied  uint64 `json:"applied"`
		Voters   []int  `json:"voters"`
		Learners []int  `json:"learners"`
		Moving   bool   `json:"moving"`
	} `json:"groups"`
}

// NewCluster prepares n nodes with certificates below dir; serveFlags are added to each serve.
func NewCluster(dir string, n int, serveFlags ...string) (*Cluster, error) {
	bin, err := Binary()
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, bin: bin, extra: serveFlags, certs: dir}
	if _, err := run(bin, "cert", "init", "--out", c.caDir()); err != nil {
		return nil, err
	}
	if _, err := run(bin, "cert", "client", "--ca", c.caDir(), "--out", c.ClientTLSDir()); err != nil {
		return nil, err
	}
	for range n {
		if err := c.Prepare(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Prepare makes ports and a certificate for one more node, of the next id.
func (c *Cluster) Prepare() error {
	id := len(c.nodes) + 1
	if _, err := os.Stat(c.tlsDir(id)); errors.Is(err, fs.ErrNotExist) { // else another cluster's node of this id has it
		if _, err := run(c.bin, "cert", "node", "--ca", c.caDir(), "--node-id", strconv.Itoa(id), "--host", "127.0.0.1", "--out", c.tlsDir(id)); err != nil {
			return err
		}
	}
	peer, err := freePort()
	if err != nil {
		return err
	}
	web, err := freePort()
	if err != nil {
		return err
	}
	c.nodes = append(c.nodes, &node{id: id, peer: peer, http: web})
	return nil
}

// Command runs a client command against the running nodes and returns what it printed.
func (c *Cluster) Command(args ...string) (string, error) {
	var endpoints []string
	for _, n := range c.pick(nil) {
		endpoints = append(endpoints, n.peer)
	}
	out, err := run(c.bin, append(args, "--endpoints", strings.Join(endpoints, ","), "--tls-dir", c.ClientTLSDir(), "--timeout", "25s")...)
	return string(out), err
}

// Running lists the ids of the nodes that run.
func (c *Cluster) Running() (ids []int) {
	for _, n := range c.pick(nil) {
		ids = append(ids, n.id)
	}
	return ids
}

// DataDir is where node id keeps its data.
func (c *Cluster) DataDir(id int) string { return c.path("node-" + strconv.Itoa(id)) }

func (c *Cluster) path(name string) string { return filepath.Join(c.Dir, name) }
func (c *Cluster) caDir() string           { return filepath.Join(c.certs, "ca") }
func (c *Cluster) tlsDir(id int) string    { return filepath.Join(c.certs, "tls-"+strconv.Itoa(id)) }

// ClientTLSDir is where the client certificate lies.
func (c *Cluster) ClientTLSDir() string { return filepath.Join(c.certs, "tls-client") }

// Size is the number of nodes, running or not.
func (c *Cluster) Size() int { return len(c.nodes) }

// Endpoints lists the nodes' UDP addresses in the order of their ids.
func (c *Cluster) Endpoints() []string {
	var list []string
	for _, n := range c.nodes {
		list = append(list, n.peer)
	}
	return list
}

// Start runs node id, with env beside the environment, and returns at once; WaitReady says when it serves.
func (c *Cluster) Start(id int, env ...string) error {
	n := c.nodes[id-1]
	if n.proc != nil {
		return fmt.Errorf("node %d runs already", id)
	}
	var initial []string
	for _, m := range c.nodes {
		if slices.Contains(c.joins, m.id) {
			continue
		}
		initial = append(initial, fmt.Sprintf("%d=%s", m.id, m.peer))
	}
	args := []string{
		"serve", "--node-id", strconv.Itoa(id), "--data", c.DataDir(id), "--tls-dir", c.tlsDir(id),
		"--listen", n.peer, "--http", n.http,
	}
	switch {
	case c.restored:
	case !c.grows && !slices.Contains(c.joins, id):
		args = append(args, "--initial-cluster", strings.Join(initial, ","))
	case c.grows && id == 1:
		args = append(args, "--bootstrap")
	default:
		args = append(args, "--join", strings.Join(c.Endpoints(), ","))
	}
	proc, err := startProcess(c.bin, c.path(fmt.Sprintf("node-%d.log", id)), env, append(args, c.extra...)...)
	n.proc = proc
	return err
}

// StartAll runs every node that does not run, and waits until all are ready.
func (c *Cluster) StartAll(ctx context.Context) error {
	for _, n := range c.nodes {
		if n.proc == nil {
			if err := c.Start(n.id); err != nil {
				return err
			}
		}
	}
	for _, n := range c.nodes {
		if err := n.proc.WaitReady(ctx); err != nil {
			return fmt.Errorf("node %d: %w", n.id, err)
		}
	}
	return nil
}

// WaitReady blocks until node id has printed its ready line.
func (c *Cluster) WaitReady(ctx context.Context, id int) error {
	return c.nodes[id-1].proc.WaitReady(ctx)
}

// Kill is kill -9 of the given nodes, all signalled before any is waited for; no ids means all.
func (c *Cluster) Kill(ids ...int) error {
	var errs []error
	targets := c.pick(ids)
	for _, n := range targets {
		errs = append(errs, n.proc.Signal(syscall.SIGKILL))
	}
	for _, n := range targets {
		errs = append(errs, n.proc.Kill())
		n.proc = nil
	}
	return errors.Join(errs...)
}

// Stop is SIGTERM of one node; it returns the exit code.
func (c *Cluster) Stop(ctx context.Context, id int) (int, error) {
	n := c.nodes[id-1]
	code, err := n.proc.Stop(ctx)
	if err == nil {
		n.proc = nil
	}
	return code, err
}

// Exited waits for node id to end by itself and returns its exit code, -1 for a signal.
func (c *Cluster) Exited(ctx context.Context, id int) (int, error) {
	n := c.nodes[id-1]
	code, err := n.proc.Exit(ctx)
	if err == nil {
		n.proc = nil
	}
	return code, err
}

// RSS returns the resident memory of node id in bytes.
func (c *Cluster) RSS(id int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.nodes[id-1].proc.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(raw))
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// Signal sends sig to node id.
func (c *Cluster) Signal(id int, sig syscall.Signal) error { return c.nodes[id-1].proc.Signal(sig) }

// pick returns the running nodes among ids; no ids means all.
func (c *Cluster) pick(ids []int) []*node {
	var out []*node
	for _, n := range c.nodes {
		wanted := len(ids) == 0
		for _, id := range ids {
			wanted = wanted || id == n.id
		}
		if wanted && n.proc != nil {
			out = append(out, n)
		}
	}
	return out
}

// Get fetches path from node id over HTTP within two seconds.
func (c *Cluster) Get(id int, path string) (string, error) {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get("http://" + c.nodes[id-1].http + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s of node %d: %s: %s", path, id, resp.Status, body)
	}
	return string(body), err
}

// Status asks node id.
func (c *Cluster) Status(id int) (Status, error) {
	var st Status
	body, err := c.Get(id, "/v1/status")
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal([]byte(body), &st)
}

// Leader returns the leader of a group as node id sees it, 0 when it sees none.
func (c *Cluster) Leader(id int, group uint64) (leader int, term uint64, err error) {
	st, err := c.Status(id)
	if err != nil {
		return 0, 0, err
	}
	for _, g := range st.Groups {
		if g.ID == group {
			return int(g.Leader), g.Term, nil
		}
	}
	return 0, 0, fmt.Errorf("node %d lists no group %d", id, group)
}

// Metric returns the sum of a metric's samples at node id; labels, when given, must all be in the sample's line.
func (c *Cluster) Metric(id int, name string, labels ...string) (float64, error) {
	body, err := c.Get(id, "/metrics")
	if err != nil {
		return 0, err
	}
	sum, found := 0.0, false
	for line := range strings.Lines(body) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || (rest[0] != ' ' && rest[0] != '{') || !containsAll(line, labels) {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(strings.TrimSpace(line), ' ')+1:]), 64)
		if err != nil {
			return 0, fmt.Errorf("metric line %q: %w", line, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("node %d has no metric %s %v", id, name, labels)
	}
	return sum, nil
}

func containsAll(line string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(line, p) {
			return false
		}
	}
	return true
}

// freePort returns a loopback address on which neither UDP nor TCP listens now.
func freePort() (string, error) {
	var last error
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", quictest.AnyPort())
		if last = listenable(addr); last == nil {
			return addr, nil
		}
	}
	return "", fmt.Errorf("find a free port: %w", last)
}

func listenable(addr string) error {
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return tcp.Close()
}

// allocated returns the bytes that a file takes on disk, which a sparse one has fewer of than its length.
func allocated(info os.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}
