package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"flotilla/catalog"
	"flotilla/internal/progress"
	"flotilla/raft/wire"
	"flotilla/snapshotstream/archive"
)

func snapshotInspect(sh *shell) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		mode := s.output(sh)
		if err := s.err(); err != nil {
			return err
		}
		f, err := os.Open(s.args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		p := sh.progress()
		defer p.End()
		r, err := withProgress(ctx, p, f)
		if err != nil {
			return err
		}
		sum, err := archive.Inspect(r)
		if err != nil {
			return fmt.Errorf("%s: %w", s.args[0], err)
		}
		p.End()
		return printSummary(sh, mode, s.args[0], sum)
	}
}

// withProgress returns f as a reader that says how far it was read, and fails when ctx has ended.
func withProgress(ctx context.Context, p *progress.Progress, f *os.File) (*watchedFile, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &watchedFile{ctx: ctx, p: p, f: f, size: info.Size()}, nil
}

type watchedFile struct {
	ctx        context.Context // of the command
	p          *progress.Progress
	f          *os.File
	done, size int64
}

// Read implements io.Reader.
func (w *watchedFile) Read(p []byte) (int, error) {
	if err := context.Cause(w.ctx); err != nil {
		return 0, err
	}
	n, err := w.f.Read(p)
	w.done += int64(n)
	w.p.Moved("read", w.done, w.size)
	return n, err
}

// printSummary prints what a file holds: inspect's result, and save's.
func printSummary(sh *shell, mode, path string, sum archive.Summary) error {
	if mode == "json" {
		return summaryJSON(sh, path, &sum)
	}
	m, c := sum.Manifest, sum.Catalog
	fmt.Fprintf(sh.out, "%s: cluster %s (%s), epoch %d, saved %s by version %s\n", path, m.Cluster, m.ClusterID, m.Epoch, m.Saved.Format(time.RFC3339), orDash(m.Program))
	fmt.Fprintf(sh.out, "%s, checksum %x\n", progress.Size(int64(sum.Bytes)), sum.Sum)
	fmt.Fprintf(sh.out, "%d groups, %d nodes, replication %d\n\n", len(sum.Groups), present(c), c.Settings.Replication)
	groups := newTable(sh.out, "group", "kind", "index", "term", "epoch", "bytes", "shards")
	for _, h := range sum.Groups {
		groups.row(h.Group, orDash(kindOf(c, h.Group)), h.Index, h.Term, h.Epoch, h.BodyLength, shardsOf(c, uint64(h.Group)))
	}
	nodes := newTable(sh.out, "node", "address", "http", "state")
	for _, n := range c.Topology.Nodes {
		nodes.row(n.ID, n.Addr, orDash(n.HTTP), n.State)
	}
	err := groups.flush()
	fmt.Fprintln(sh.out)
	return errors.Join(err, nodes.flush())
}

// present counts the nodes that were not removed.
func present(c *catalog.Snapshot) (n int) {
	for _, x := range c.Topology.Nodes {
		if x.State != catalog.NodeRemoved {
			n++
		}
	}
	return n
}

func kindOf(c *catalog.Snapshot, g wire.GroupID) string {
	placed, _ := c.FindGroup(g)
	return placed.Kind
}

// summaryJSON writes one object with everything.
func summaryJSON(sh *shell, path string, sum *archive.Summary) error {
	type node struct {
		ID      uint64 `json:"id"`
		Address string `json:"address"`
		HTTP    string `json:"http"`
		State   string `json:"state"`
	}
	type group struct {
		ID     uint64 `json:"id"`
		Kind   string `json:"kind"`
		Index  uint64 `json:"index"`
		Term   uint64 `json:"term"`
		Epoch  uint64 `json:"epoch"`
		Bytes  uint64 `json:"bytes"`
		Shards int    `json:"shards"`
	}
	m, c := sum.Manifest, sum.Catalog
	out := struct {
		File        string  `json:"file"`
		Bytes       uint64  `json:"bytes"`
		Checksum    string  `json:"checksum"`
		Cluster     string  `json:"cluster"`
		ClusterID   string  `json:"cluster_id"`
		Epoch       uint64  `json:"epoch"`
		Saved       string  `json:"saved"`
		Program     string  `json:"program"`
		Replication uint64  `json:"replication"`
		Nodes       []node  `json:"nodes"`
		Groups      []group `json:"groups"`
	}{
		File: path, Bytes: sum.Bytes, Checksum: hex.EncodeToString(sum.Sum[:]), Cluster: m.Cluster, ClusterID: m.ClusterID.String(),
		Epoch: uint64(m.Epoch), Saved: m.Saved.Format(time.RFC3339), Program: m.Program, Replication: c.Settings.Replication,
		Nodes: []node{}, Groups: []group{},
	}
	for _, n := range c.Topology.Nodes {
		out.Nodes = append(out.Nodes, node{uint64(n.ID), n.Addr, n.HTTP, n.State.String()})
	}
	for _, h := range sum.Groups {
		out.Groups = append(out.Groups, group{
			uint64(h.Group), kindOf(c, h.Group), uint64(h.Index), uint64(h.Term), uint64(h.Epoch), h.BodyLength, shardsOf(c, uint64(h.Group)),
		})
	}
	return printJSON(sh.out, out)
}
