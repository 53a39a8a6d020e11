package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"flotilla"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"

	"github.com/urfave/cli/v2"
)

// The HTTP port of dev's node i is this far above its UDP port.
const devHTTPOffset = 80

// maxDevNodes keeps UDP and HTTP ports apart.
const maxDevNodes = 9

func devCommand(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "dev", Usage: "a whole cluster in this process, on loopback, with certificates of its own",
		Flags: []cli.Flag{
			text("nodes", "3", "`N` nodes"),
			text("data", "", "keep the data in `DIR` (default: a temporary one that is removed)"),
			text("groups", "4", "`N` data groups"),
			text("base-port", "7400", "node i listens on UDP `PORT`+i-1 and HTTP PORT+80+i-1"),
			text("tls-dir", "", "`DIR` to write the client certificate to (default: DATA/tls)"),
			text("log-level", "warn", "`LEVEL`: debug, info, warn or error"),
			text("drain-timeout", "10s", "how long stopping may take, a `DURATION`"),
			configFlag(),
		},
		Action: action(func(ctx context.Context, s *settings) error {
			d := devCluster{
				sh: sh, size: int(s.number("nodes", 1, maxDevNodes)), groups: int(s.number("groups", 1, 10_000)),
				base: int(s.number("base-port", 1, 65535-devHTTPOffset-maxDevNodes)), dir: s.text("data"), tlsDir: s.text("tls-dir"),
				drain: s.duration("drain-timeout", 0, time.Hour),
			}
			var level slog.Level
			_ = level.UnmarshalText([]byte(s.oneOf("log-level", "debug", "info", "warn", "error")))
			d.log = newLogger(sh.err, "text", level)
			if err := s.err(); err != nil {
				return err
			}
			if err := d.remember(s); err != nil {
				return err
			}
			return d.run(ctx)
		}),
	}
}

// devCluster is a cluster in one process.
type devCluster struct {
	sh           *shell
	size, groups int
	base         int
	dir, tlsDir  string
	kept         bool // the data in dir is of an earlier run
	drain        time.Duration
	log          *slog.Logger
	nodes        []*node
}

func (d *devCluster) run(ctx context.Context) (err error) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) // SIGHUP: the terminal is gone
	defer signal.Stop(signals)
	if d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "flotilla-dev-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	}
	if d.tlsDir == "" {
		d.tlsDir = filepath.Join(d.dir, "tls")
	}
	if d.tlsDir, err = filepath.Abs(d.tlsDir); err != nil { // clients may run elsewhere
		return err
	}
	defer func() { err = errors.Join(err, d.stop(signals)) }()
	if err := d.start(ctx); err != nil {
		return err
	}
	if done, err := d.awaitReady(signals); done || err != nil {
		return err
	}
	file := devFile{Endpoints: d.endpoints(), TLSDir: d.tlsDir}
	for _, n := range d.nodes {
		file.HTTP = append(file.HTTP, n.http.addr())
	}
	remove, holder, err := file.write()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	d.welcome(holder)
	return d.live(signals)
}

// start makes certificates and opens every node.
func (d *devCluster) start(ctx context.Context) error {
	ca, err := d.authority()
	if err != nil {
		return err
	}
	client, err := ca.IssueClient(devClusterName, pki.NodeValidity)
	if err == nil {
		err = client.WriteDir(d.tlsDir)
	}
	if err != nil {
		return err
	}
	for i := 1; i <= d.size; i++ {
		n, err := d.startNode(ctx, ca, i)
		switch {
		case errors.Is(err, flotilla.ErrRemoved):
			fmt.Fprintf(d.sh.out, "node %d was removed from the cluster and is not started\n", i)
		case err != nil:
			return d.explain(i, err)
		default:
			d.nodes = append(d.nodes, n)
		}
	}
	return nil
}

const devClusterName = "dev"

// authority makes the cluster's certificate authority, or takes the one that the data was born with.
func (d *devCluster) authority() (*pki.Authority, error) {
	dir := filepath.Join(d.dir, "ca")
	if _, err := os.Stat(filepath.Join(dir, pki.CAKeyFile)); err == nil {
		return pki.LoadCA(dir)
	}
	ca, err := pki.CreateCA(devClusterName)
	if err != nil {
		return nil, err
	}
	return ca, ca.WriteDir(dir)
}

func (d *devCluster) startNode(ctx context.Context, ca *pki.Authority, i int) (*node, error) {
	bundle, err := ca.IssueNode(devClusterName, wire.NodeID(i), []string{"127.0.0.1", "localhost"}, pki.NodeValidity)
	if err != nil {
		return nil, err
	}
	credentials, err := bundle.Credentials()
	if err != nil {
		return nil, err
	}
	initial := map[flotilla.NodeID]string{}
	for j, addr := range d.endpoints() {
		initial[flotilla.NodeID(j+1)] = addr
	}
	web := loopback(d.base + devHTTPOffset + i - 1)
	return startNode(ctx, serveOptions{
		node: flotilla.Config{
			Dir: filepath.Join(d.dir, "node-"+strconv.Itoa(i)), NodeID: flotilla.NodeID(i), Cluster: devClusterName,
			Listen: loopback(d.base + i - 1), InitialCluster: initial, Groups: d.groups, TLS: pki.NewSource(credentials),
		},
		http: httpOptions{addr: web},
	}, d.log.With("node", i))
}

// explain adds dev's own next step to why node i did not start.
func (d *devCluster) explain(i int, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		hint := "another dev or serve runs there: stop it, or start this one with --base-port " + strconv.Itoa(d.base+1000)
		if d.kept {
			hint = "another dev or serve runs there: stop it; the data belongs to these ports"
		}
		return &exitError{exitUnavailable, "port_busy", fmt.Errorf("node %d: %w", i, err), hint}
	}
	return fmt.Errorf("node %d: %w", i, err)
}

func (d *devCluster) endpoints() []string {
	var list []string
	for i := range d.size {
		list = append(list, loopback(d.base+i))
	}
	return list
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// awaitReady prints one ready line per node; true means that a signal came first.
func (d *devCluster) awaitReady(signals <-chan os.Signal) (bool, error) {
	for _, n := range slices.Clone(d.nodes) {
		select {
		case <-n.host.Ready():
			fmt.Fprintln(d.sh.out, n.readyLine())
		case <-n.host.Failed():
			if err := d.heedEnds(); err != nil {
				return false, err
			}
		case <-signals:
			return true, nil
		}
	}
	if len(d.nodes) == 0 {
		return false, errors.New("every node was removed from the cluster")
	}
	return false, nil
}

// stop closes all nodes at once.
func (d *devCluster) stop(signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), d.drain)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		var errs []error
		results := make(chan error, len(d.nodes))
		for _, n := range d.nodes {
			go func() { results <- n.close(ctx) }()
		}
		for range d.nodes {
			errs = append(errs, <-results)
		}
		done <- errors.Join(errs...)
	}()
	select {
	case err := <-done:
		if errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return err
	case sig := <-signals:
		return fail(exitInterrupted, fmt.Errorf("second %v: stopped at once", sig), "")
	}
}
