package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"flotilla/catalog"
	"flotilla/internal/autopsy"

	"github.com/urfave/cli/v2"
)

func offlineCommand(sh *shell) *cli.Command {
	data := func() cli.Flag { return text("data", "./flotilla-data", "data `DIR` of a node that is stopped") }
	return &cli.Command{
		Name: "offline", Usage: "look into the data directory of a stopped node; never writes",
		Subcommands: []*cli.Command{
			{
				Name: "verify", Usage: "read every record of every file and list what is wrong",
				Flags: []cli.Flag{data(), outputFlag()}, Action: action(offlineVerify(sh)),
			}, {
				Name: "dump", Usage: "print what the catalog holds",
				Flags: []cli.Flag{data(), outputFlag()}, Action: action(offlineDump(sh)),
			},
		},
	}
}

// offlineLock is how long a look into a directory waits for the node that holds it.
const offlineLock = 200 * time.Millisecond

func offlineVerify(sh *shell) func(context.Context, *settings) error {
	return func(_ context.Context, s *settings) error {
		mode, dir := s.output(sh), s.text("data")
		if err := s.err(); err != nil {
			return err
		}
		if err := checkDataDir(dir); err != nil {
			return err
		}
		bad := 0
		report := func(f autopsy.Finding) {
			if !f.Harmless {
				bad++
			}
			if mode == "json" {
				_ = printJSON(sh.out, f) // a reader that is gone wants no more
				return
			}
			fmt.Fprintln(sh.out, f)
		}
		if err := autopsy.Verify(dir, offlineLock, report); err != nil {
			return err
		}
		if bad > 0 {
			what := "findings"
			if bad == 1 {
				what = "finding"
			}
			return fail(exitCorrupt, fmt.Errorf("%d %s in %s", bad, what, dir), "start the node: what is damaged is never served, and made good from its peers; a damaged catalog is not: move the directory away and let the node --join")
		}
		if mode != "json" {
			fmt.Fprintf(sh.out, "%s: nothing wrong\n", dir)
		}
		return nil
	}
}

// checkDataDir refuses what was never a node's directory.
func checkDataDir(dir string) error {
	_, err := os.Stat(filepath.Join(dir, "catalog.db"))
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("check --data")("%s holds no node: there is no catalog.db", dir)
	}
	return err
}

func offlineDump(sh *shell) func(context.Context, *settings) error {
	return func(_ context.Context, s *settings) error {
		mode, dir := s.output(sh), s.text("data")
		if err := s.err(); err != nil {
			return err
		}
		if err := checkDataDir(dir); err != nil {
			return err
		}
		v, err := catalog.Inspect(filepath.Join(dir, "catalog.db"), offlineLock)
		if err != nil {
			return err
		}
		if mode == "json" {
			return dumpJSON(sh, v)
		}
		id := v.Identity
		fmt.Fprintf(sh.out, "node %d of cluster %s (%s), data generation %d, format %d, started %d times\n",
			id.NodeID, id.ClusterName, id.ClusterID, id.Generation, v.Format, v.Incarnation)
		fmt.Fprintf(sh.out, "group 0 applied to index %d: epoch %d, topology version %d, routing version %d, digest %08x\n\n",
			v.Applied, v.Epoch, v.Topology.Version, v.Routing.Version, v.Digest())
		nodes := newTable(sh.out, "node", "address", "http", "state", "generation")
		for _, n := range v.Topology.Nodes {
			nodes.row(n.ID, n.Addr, orDash(n.HTTP), n.State, n.Generation)
		}
		groups := newTable(sh.out, "group", "voters", "learners", "shards")
		for _, g := range v.Groups {
			groups.row(g.ID, list(g.Voters), list(g.Learners), shardsOf(v, uint64(g.ID)))
		}
		err = nodes.flush()
		fmt.Fprintln(sh.out)
		return errors.Join(err, groups.flush())
	}
}

func shardsOf(v *catalog.Snapshot, group uint64) (n int) {
	for _, g := range v.Routing.Shards {
		if uint64(g) == group {
			n++
		}
	}
	return n
}

// dumpJSON writes one object with everything.
func dumpJSON(sh *shell, v *catalog.Snapshot) error {
	type node struct {
		ID         uint64 `json:"id"`
		Address    string `json:"address"`
		HTTP       string `json:"http"`
		State      string `json:"state"`
		Generation uint64 `json:"generation"`
	}
	type group struct {
		ID       uint64   `json:"id"`
		Voters   []uint64 `json:"voters"`
		Learners []uint64 `json:"learners"`
		Shards   int      `json:"shards"`
	}
	out := struct {
		Format          uint64  `json:"format"`
		Cluster         string  `json:"cluster"`
		ClusterID       string  `json:"cluster_id"`
		NodeID          uint64  `json:"node_id"`
		Generation      uint64  `json:"generation"`
		Incarnation     uint64  `json:"incarnation"`
		Applied         uint64  `json:"applied"`
		Epoch           uint64  `json:"epoch"`
		TopologyVersion uint64  `json:"topology_version"`
		RoutingVersion  uint64  `json:"routing_version"`
		Digest          string  `json:"digest"`
		Nodes           []node  `json:"nodes"`
		Groups          []group `json:"groups"`
	}{
		Format: v.Format, Cluster: v.Identity.ClusterName, ClusterID: v.Identity.ClusterID.String(), NodeID: uint64(v.Identity.NodeID),
		Generation: uint64(v.Identity.Generation), Incarnation: uint64(v.Incarnation), Applied: uint64(v.Applied), Epoch: uint64(v.Epoch),
		TopologyVersion: v.Topology.Version, RoutingVersion: v.Routing.Version, Digest: fmt.Sprintf("%08x", v.Digest()),
	}
	for _, n := range v.Topology.Nodes {
		out.Nodes = append(out.Nodes, node{uint64(n.ID), n.Addr, n.HTTP, n.State.String(), uint64(n.Generation)})
	}
	for _, g := range v.Groups {
		out.Groups = append(out.Groups, group{uint64(g.ID), numbers(g.Voters), numbers(g.Learners), shardsOf(v, uint64(g.ID))})
	}
	return printJSON(sh.out, out)
}

// numbers is never nil, so that JSON has [] and never null.
func numbers[T ~uint64](ids []T) []uint64 {
	out := make([]uint64, 0, len(ids))
	for _, id := range ids {
		out = append(out, uint64(id))
	}
	return out
}
