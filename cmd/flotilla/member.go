package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"flotilla/client"
	"flotilla/raft/wire"

	"github.com/urfave/cli/v2"
)

func memberCommand(sh *shell) *cli.Command {
	node := func(name, args, usage string, run func(*shell) func(context.Context, *settings) error, flags ...cli.Flag) *cli.Command {
		return &cli.Command{Name: name, ArgsUsage: args, Usage: usage, Flags: clientFlags(flags...), Action: action(run(sh))}
	}
	wait := func() cli.Flag {
		return toggle("wait", "until it is done, within --timeout; each step of progress is a line")
	}
	return &cli.Command{
		Name: "member", Usage: "show and change the nodes of the cluster",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the nodes", Flags: clientFlags(),
				Action: action(statusAction(sh, func(c connection, st client.Status) error {
					return eachOr(sh, c, st.Nodes, func() error { return printNodes(sh, st.Nodes) })
				})),
			},
			node("add", "ID HOST:PORT", "announce a node before it joins with serve --join; one with a certificate needs no announcement", memberAdd),
			node("drain", "ID", "take leaderships and replicas from a node, which stays a member; --undo ends it, and a removal under way", memberDrain,
				toggle("undo", "let the node have replicas again"), wait()),
			node("remove", "ID", "take a node out of the cluster for good, its replicas first", memberRemove,
				toggle("unsafe-force", "at once: groups that lose their majority by it stay without, with what only they had"), toggle("yes", "ask nothing"), wait()),
			node("replace-address", "ID HOST:PORT", "tell the cluster where a node is dialled from now on", memberMove),
			node("token", "", "make a token that lets one node join without a certificate, once, within ten minutes", memberToken),
		},
	}
}

// nodeID reads the first argument.
func (s *settings) nodeID(arg int) wire.NodeID {
	return wire.NodeID(s.argument(arg, "node", 1, uint64(wire.MaxNodeID)))
}

func memberAdd(sh *shell) func(context.Context, *settings) error {
	return withAddress(sh, func(ctx context.Context, c connection, id wire.NodeID, addr string) (string, error) {
		return fmt.Sprintf("node %d may join from %s", id, addr), c.AddNode(ctx, id, addr)
	})
}

func memberMove(sh *shell) func(context.Context, *settings) error {
	return withAddress(sh, func(ctx context.Context, c connection, id wire.NodeID, addr string) (string, error) {
		return fmt.Sprintf("node %d is dialled at %s from now on; start it with --advertise %s, or --listen there", id, addr, addr), c.MoveNode(ctx, id, addr)
	})
}

func withAddress(sh *shell, do func(context.Context, connection, wire.NodeID, string) (string, error)) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		id, addr := s.nodeID(0), s.args[1]
		if err := checkAddress(addr); err != nil {
			s.faults = append(s.faults, err)
		}
		s.output(sh)
		return withClient(ctx, sh, s, func(ctx context.Context, c connection) error {
			said, err := do(ctx, c, id, addr)
			if err != nil {
				return err
			}
			return c.printNode(ctx, sh, id, said)
		})
	}
}

func memberDrain(sh *shell) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		id, undo, wait := s.nodeID(0), s.on("undo"), s.on("wait")
		s.output(sh)
		return withClient(ctx, sh, s, func(ctx context.Context, c connection) error {
			if undo {
				if err := c.UndrainNode(ctx, id); err != nil {
					return err
				}
				return c.printNode(ctx, sh, id, fmt.Sprintf("node %d takes replicas again", id))
			}
			err := c.DrainNode(ctx, id)
			if err == nil && wait {
				err = c.follow(ctx, sh, func(st client.Status) (string, bool) { return drained(st, id) })
			}
			if err != nil {
				return err
			}
			said := fmt.Sprintf("node %d is draining; 'member list' shows what is left on it", id)
			if wait {
				said = fmt.Sprintf("node %d is drained, and stays a member; 'member drain %d --undo' ends that", id, id)
			}
			return c.printNode(ctx, sh, id, said)
		})
	}
}

// drained says how far the replicas of data groups have left a node.
func drained(st client.Status, id wire.NodeID) (string, bool) {
	left, leads := 0, 0
	for _, g := range st.Groups {
		if g.ID == wire.MetadataGroup {
			continue
		}
		if holds(g, id) {
			left++
		}
		if g.Leader == id {
			leads++
		}
	}
	return fmt.Sprintf("node %d: %d replicas left, leads %d", id, left, leads), left == 0
}

func memberRemove(sh *shell) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		id, force, yes, wait := s.nodeID(0), s.on("unsafe-force"), s.on("yes"), s.on("wait")
		s.output(sh)
		return withClient(ctx, sh, s, func(ctx context.Context, c connection) error {
			remove, said := c.RemoveNode, fmt.Sprintf("node %d is on its way out; 'member list' shows how far", id)
			if force {
				again, cancel, err := c.dare(ctx, sh, id, yes)
				if err != nil {
					return err
				}
				defer cancel()
				ctx, remove, said = again, c.ForceRemoveNode, fmt.Sprintf("node %d is out of the cluster", id)
			}
			err := remove(ctx, id)
			if err == nil && wait {
				said = fmt.Sprintf("node %d has left the cluster", id)
				err = c.follow(ctx, sh, func(st client.Status) (string, bool) { return removed(st, id) })
			}
			if err != nil {
				return err
			}
			return c.printNode(ctx, sh, id, said)
		})
	}
}

// removed says how far a removal has come.
func removed(st client.Status, id wire.NodeID) (string, bool) {
	for _, n := range st.Nodes {
		if n.ID == id && n.State != "removed" {
			return fmt.Sprintf("node %d is %s: %d replicas left, leads %d", id, n.State, n.Replicas, n.Leads), false
		}
	}
	return fmt.Sprintf("node %d is removed", id), true
}

func holds(g client.GroupStatus, id wire.NodeID) bool {
	return slices.Contains(g.Voters, id) || slices.Contains(g.Learners, id)
}

func memberToken(sh *shell) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		s.output(sh)
		return withClient(ctx, sh, s, func(ctx context.Context, c connection) error {
			token, err := c.JoinToken(ctx)
			if err != nil {
				return err
			}
			if c.mode == "json" {
				return printJSON(sh.out, struct {
					Token string `json:"token"`
				}{token})
			}
			_, err = fmt.Fprintln(sh.out, strings.TrimSpace(token))
			return err
		})
	}
}
