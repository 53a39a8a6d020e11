package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"flotilla/client"
	"flotilla/internal/progress"
	"flotilla/raft/wire"

	"github.com/urfave/cli/v2"
)

func statusCommand(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "show the cluster's nodes and groups", Flags: clientFlags(),
		Action: action(statusAction(sh, func(c connection, st client.Status) error {
			if c.mode == "json" {
				return printJSON(sh.out, st)
			}
			fmt.Fprintf(sh.out, "cluster %s (%s), epoch %d, as node %d sees it\n\n", st.Cluster, st.ClusterID, st.Epoch, st.Node)
			if err := printNodes(sh, st.Nodes); err != nil {
				return err
			}
			fmt.Fprintln(sh.out)
			if err := printGroups(sh, st.Node, st.Groups); err != nil || len(st.Transfers) == 0 {
				return err
			}
			fmt.Fprintf(sh.out, "\nsnapshots that node %d sends and receives\n\n", st.Node)
			return printTransfers(sh, st.Transfers)
		})),
	}
}

// statusAction asks a node and hands the answer on.
func statusAction(sh *shell, show func(connection, client.Status) error) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		s.output(sh)
		return withClient(ctx, sh, s, func(ctx context.Context, c connection) error {
			st, err := c.Status(ctx)
			if err != nil {
				return err
			}
			return show(c, st)
		})
	}
}

// eachOr prints one JSON object a line, or what table prints.
func eachOr[T any](sh *shell, c connection, rows []T, table func() error) error {
	if c.mode != "json" {
		return table()
	}
	for _, r := range rows {
		if err := printJSON(sh.out, r); err != nil {
			return err
		}
	}
	return nil
}

func printNodes(sh *shell, nodes []client.NodeStatus) error {
	t := newTable(sh.out, "node", "address", "state", "replicas", "leads", "version")
	for _, n := range nodes {
		t.row(n.ID, n.Address, n.State, n.Replicas, n.Leads, orDash(n.Version))
	}
	return t.flush()
}

// printGroups prints groups as node self sees them: of those that have no replica there it knows no more than where they are.
func printGroups(sh *shell, self wire.NodeID, groups []client.GroupStatus) error {
	t := newTable(sh.out, "group", "leader", "term", "commit", "applied", "voters", "learners", "moving to")
	for _, g := range groups {
		leader := "none"
		if g.Leader != 0 {
			leader = g.Leader.String()
		}
		var term, commit, applied any = g.Term, g.Commit, g.Applied
		if !slices.Contains(g.Voters, self) && !slices.Contains(g.Learners, self) {
			term, commit, applied = "-", "-", "-"
			if g.Leader == 0 {
				leader = "-"
			}
		}
		t.row(g.ID, leader, term, commit, applied, list(g.Voters), list(g.Learners), movingTo(g))
	}
	return t.flush()
}

func printTransfers(sh *shell, transfers []client.TransferStatus) error {
	t := newTable(sh.out, "group", "snapshot", "way", "progress")
	for i := range transfers {
		x := &transfers[i]
		way := map[bool]string{true: "to node ", false: "from node "}[x.Direction == "out"]
		moved, took := int64(x.BytesDone-x.BytesBefore), time.Duration(x.ElapsedMS)*time.Millisecond
		t.row(x.Group, x.Index, way+x.Peer.String(), progress.Bar(int64(x.BytesDone), int64(x.BytesTotal), moved, took))
	}
	return t.flush()
}

// movingTo says where a group's replicas are on their way to, "-" when they are there.
func movingTo(g client.GroupStatus) string {
	if !g.Moving {
		return "-"
	}
	if len(g.WantedLearners) > 0 {
		return list(g.WantedVoters) + " and learners " + list(g.WantedLearners)
	}
	return list(g.WantedVoters)
}
