package main

import (
	"context"
	"fmt"

	"flotilla/client"

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
			return printGroups(sh, st.Groups)
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

func printGroups(sh *shell, groups []client.GroupStatus) error {
	t := newTable(sh.out, "group", "leader", "term", "commit", "applied", "voters", "learners", "moving to")
	for _, g := range groups {
		leader := "none"
		if g.Leader != 0 {
			leader = g.Leader.String()
		}
		t.row(g.ID, leader, g.Term, g.Commit, g.Applied, list(g.Voters), list(g.Learners), movingTo(g))
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
