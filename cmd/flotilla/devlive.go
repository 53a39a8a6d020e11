package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"flotilla"
)

// callName is what to type for this program in another terminal: what was typed here, but for go run, whose binary
// nobody can name.
func callName(arg0 string) string {
	if strings.Contains(filepath.ToSlash(arg0), "/go-build") {
		return "go run ./cmd/flotilla"
	}
	return arg0
}

// welcome prints what to try next. Where another dev, process holder, is the one that commands find in this directory,
// they are told where this one is.
func (d *devCluster) welcome(holder int) {
	call, http := callName(os.Args[0]), d.nodes[0].http.addr()
	flags := " --endpoints " + strings.Join(d.endpoints(), ",") + " --tls-dir " + d.tlsDir
	where, suffix := "in another terminal, in this directory (elsewhere add"+flags+"):", ""
	if holder != 0 {
		where, suffix = fmt.Sprintf("another dev (process %d) is found in this directory; for this one:", holder), flags
	}
	fmt.Fprintf(d.sh.out, `
%[1]s  %[2]d nodes, %[3]d data groups, data in %[4]s

  %[5]s

    %[6]s kv put greeting hello%[7]s
    %[6]s kv get greeting%[7]s
    %[6]s kv scan greet%[7]s
    %[6]s status%[7]s
    %[6]s bench mixed --duration 5s%[7]s
    %[6]s snapshot save backup.snap%[7]s

  in the browser:   http://%[8]s/
  over HTTP:        curl -X PUT --data-binary hello http://%[8]s/v1/kv/greeting
  stop with Ctrl-C

`, d.bold("flotilla dev"), d.size, d.groups, d.dir, where, call, suffix, http)
}

func (d *devCluster) bold(s string) string {
	if !d.sh.terminal {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

// live waits for a signal; on a terminal it shows meanwhile how the cluster is doing, redrawn in place.
func (d *devCluster) live(signals <-chan os.Signal) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var screen liveScreen
	for {
		select {
		case <-signals:
			fmt.Fprintln(d.sh.out, "stopping")
			return nil
		case <-ticker.C:
			if d.sh.terminal {
				screen.draw(d.sh.out, d.summary(&screen))
			}
		}
		if err := d.heedEnds(); err != nil || len(d.nodes) == 0 {
			return err
		}
	}
}

// heedEnds lets go of nodes that were removed from the cluster; any other end of a node ends dev.
func (d *devCluster) heedEnds() error {
	for _, n := range slices.Clone(d.nodes) {
		err := n.host.Err()
		if errors.Is(err, flotilla.ErrRemoved) {
			err = d.retire(n)
		}
		if err != nil {
			return fmt.Errorf("node %d: %w", n.host.NodeID(), err)
		}
	}
	return nil
}

// retire closes a node that was removed from the cluster.
func (d *devCluster) retire(n *node) error {
	d.nodes = slices.DeleteFunc(d.nodes, func(other *node) bool { return other == n })
	fmt.Fprintf(d.sh.out, "node %d was removed from the cluster and has stopped\n", n.host.NodeID())
	ctx, cancel := context.WithTimeout(context.Background(), d.drain)
	defer cancel()
	return n.close(ctx)
}

// liveScreen remembers what was drawn last.
type liveScreen struct {
	lines   int
	applied uint64
	at      time.Time
}

// draw writes text over what was drawn before.
func (s *liveScreen) draw(w io.Writer, text string) {
	if s.lines > 0 {
		fmt.Fprintf(w, "\x1b[%dA\x1b[J", s.lines)
	}
	fmt.Fprint(w, text)
	s.lines = strings.Count(text, "\n")
}

// summary is one line for each node and one for the cluster.
func (d *devCluster) summary(s *liveScreen) string {
	var b strings.Builder
	var applied uint64
	var epoch flotilla.Epoch
	for _, n := range d.nodes {
		st, counters := n.host.Status(), n.host.Stats()
		applied = max(applied, counters.Engine.CommandsApplied)
		epoch = max(epoch, st.Epoch)
		state := "ready"
		if !st.Serving {
			state = "not serving"
		}
		leads := 0
		for _, g := range st.Groups {
			if g.Leader == st.Node {
				leads++
			}
		}
		fmt.Fprintf(&b, "  node %d  %-11s leads %3d of %d groups  peers %d  disk commits %d\n",
			st.Node, state, leads, len(st.Groups), counters.Transport.Peers, counters.Log.Commits)
	}
	rate := 0.0
	if now := time.Now(); !s.at.IsZero() {
		rate = float64(applied-min(s.applied, applied)) / now.Sub(s.at).Seconds()
	}
	s.applied, s.at = applied, time.Now()
	fmt.Fprintf(&b, "  epoch %d   %.0f commands/s applied\n", epoch, rate)
	return b.String()
}
