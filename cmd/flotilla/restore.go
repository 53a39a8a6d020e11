package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"flotilla"
	"flotilla/epoch"
	"flotilla/raft/wire"
)

func snapshotRestore(sh *shell) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		mode := s.output(sh)
		cfg := flotilla.RestoreConfig{
			Archive: s.args[0], Dir: s.text("data"), NodeID: flotilla.NodeID(s.number("node-id", 1, uint64(wire.MaxNodeID))),
			Nodes: s.initialCluster(), TLSDir: s.text("tls-dir"), Epoch: epoch.Epoch(s.number("epoch", 1, wire.MaxNumber)),
		}
		if s.given("cluster") {
			cfg.Cluster = s.cluster()
		}
		for _, name := range []string{"data", "node-id", "initial-cluster"} {
			if s.text(name) == "" {
				s.faults = append(s.faults, fmt.Errorf("--%s is missing", name))
			}
		}
		if err := s.err(); err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		p := sh.progress()
		defer p.End()
		cfg.Progress = func(done, total int64) { p.Moved("restored", done, total) }
		r, err := flotilla.Restore(ctx, cfg)
		if err != nil && ctx.Err() != nil {
			return fail(exitInterrupted, fmt.Errorf("interrupted: %w", err), "nothing was made")
		}
		if err != nil {
			return err
		}
		p.End()
		return printRestored(sh, mode, &cfg, &r)
	}
}

func printRestored(sh *shell, mode string, cfg *flotilla.RestoreConfig, r *flotilla.Restored) error {
	if mode == "json" {
		return printJSON(sh.out, struct {
			Data      string `json:"data"`
			NodeID    uint64 `json:"node_id"`
			Cluster   string `json:"cluster"`
			ClusterID string `json:"cluster_id"`
			Epoch     uint64 `json:"epoch"`
			Nodes     int    `json:"nodes"`
			Groups    int    `json:"groups"`
			Replicas  int    `json:"replicas"`
			Bytes     uint64 `json:"bytes"`
			Checksum  string `json:"checksum"`
		}{
			cfg.Dir, uint64(r.Identity.NodeID), r.Identity.ClusterName, r.Identity.ClusterID.String(), uint64(r.Epoch), r.Nodes, r.Groups, r.Here,
			r.Bytes, hex.EncodeToString(r.Sum[:]),
		})
	}
	fmt.Fprintf(sh.out, "%s: node %d of %d of cluster %s (%s), epochs above %d; %d of %d groups have a replica here\n",
		cfg.Dir, r.Identity.NodeID, r.Nodes, r.Identity.ClusterName, r.Identity.ClusterID, r.Epoch, r.Here, r.Groups)
	_, err := fmt.Fprintf(sh.out, "%s\n", startHint(cfg))
	return err
}

// startHint is the next step.
func startHint(cfg *flotilla.RestoreConfig) string {
	hint := fmt.Sprintf("when all nodes have theirs: flotilla serve --data %s --listen %s", cfg.Dir, cfg.Nodes[cfg.NodeID])
	if cfg.TLSDir != "" && filepath.Clean(cfg.TLSDir) != filepath.Join(cfg.Dir, "tls") {
		hint += " --tls-dir " + cfg.TLSDir
	}
	return hint
}
