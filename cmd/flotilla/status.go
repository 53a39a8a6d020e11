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

func memberCommand(sh *shell) *cli.Command {
	hint := "the set of nodes is fixed for now: it is what --initial-cluster said when the cluster was born"
	return &cli.Command{
		Name: "member", Usage: "show the nodes of the cluster",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the nodes", Flags: clientFlags(),
				Action: action(statusAction(sh, func(c connection, st client.Status) error {
					return eachOr(sh, c, st.Nodes, func() error { return printNodes(sh, st.Nodes) })
				})),
			},
			notBuilt("add", "ID HOST:PORT", "add a node", hint, clientFlags()...),
			notBuilt("remove", "ID", "remove a node", hint, clientFlags()...),
			notBuilt("drain", "ID", "take leaderships and replicas from a node", hint, clientFlags()...),
		},
	}
}

func groupCommand(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "group", Usage: "show the groups of the cluster",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the groups", Flags: clientFlags(),
				Action: action(statusAction(sh, func(c connection, st client.Status) error {
					return eachOr(sh, c, st.Groups, func() error { return printGroups(sh, st.Groups) })
				})),
			},
			notBuilt("transfer", "GROUP NODE", "hand the leadership of a group to another voter",
				"leaderships move by themselves when a node stops: send it SIGTERM", clientFlags()...),
		},
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
	t := newTable(sh.out, "node", "address", "state", "version")
	for _, n := range nodes {
		t.row(n.ID, n.Address, n.State, orDash(n.Version))
	}
	return t.flush()
}

func printGroups(sh *shell, groups []client.GroupStatus) error {
	t := newTable(sh.out, "group", "leader", "term", "commit", "applied", "voters", "learners")
	for _, g := range groups {
		leader := "none"
		if g.Leader != 0 {
			leader = g.Leader.String()
		}
		t.row(g.ID, leader, g.Term, g.Commit, g.Applied, list(g.Voters), list(g.Learners))
	}
	return t.flush()
}
