package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"flotilla/client"
	"flotilla/raft/wire"

	"github.com/urfave/cli/v2"
)

func groupCommand(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "group", Usage: "show and change the groups of the cluster",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the groups, and where those that move are going", Flags: clientFlags(),
				Action: action(statusAction(sh, func(c connection, st client.Status) error {
					return eachOr(sh, c, st.Groups, func() error { return printGroups(sh, st.Node, st.Groups) })
				})),
			},
			{
				Name: "transfer", ArgsUsage: "GROUP NODE", Usage: "hand the leadership of a group to another voter, which is preferred as long as leaderships stay spread",
				Flags: clientFlags(), Action: action(groupTransfer(sh)),
			},
			{
				Name: "create", Usage: "make a group; keys are routed to it only when shards are given to it",
				Flags: clientFlags(
					text("kind", "", "`NAME` of a kind of state machines that the nodes know (default: the key-value store)"),
					text("voters", "", "`IDS` of the first nodes, 1,2,3 (default: those with the fewest replicas); placement goes on from there"),
				),
				Action: action(groupCreate(sh)),
			},
			{
				Name: "delete", ArgsUsage: "GROUP", Usage: "end a group that no keys are routed to; its id never comes back",
				Flags: clientFlags(), Action: action(groupDelete(sh)),
			},
		},
	}
}

func (s *settings) groupID(arg int) wire.GroupID {
	return wire.GroupID(s.argument(arg, "group", 0, wire.MaxNumber))
}

func groupTransfer(sh *shell) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		group, node := s.groupID(0), s.nodeID(1)
		s.output(sh)
		return withClient(ctx, sh, s, func(ctx context.Context, c connection) error {
			if err := c.TransferLeader(ctx, group, node); err != nil {
				return c.unknownGroup(group, err)
			}
			return c.printGroup(ctx, sh, group, fmt.Sprintf("node %d leads group %d", node, group))
		})
	}
}

// unknownGroup says that there is no such group where err may come from that: nodes refuse one that they have not heard of, as another
// may have, so it has been tried until the timeout was over.
func (c connection) unknownGroup(id wire.GroupID, err error) error {
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Code != "unknown_group" {
		return err
	}
	ctx, cancel := context.WithTimeout(c.base, c.timeout)
	defer cancel()
	st, asked := c.Status(ctx)
	if asked != nil || slices.ContainsFunc(st.Groups, func(g client.GroupStatus) bool { return g.ID == id }) {
		return err
	}
	return fail(exitPrecondition, fmt.Errorf("the cluster has no group %d", id), "see what there is: flotilla group list")
}

func groupCreate(sh *shell) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		kind, voters := s.text("kind"), s.nodes("voters")
		s.output(sh)
		return withClient(ctx, sh, s, func(ctx context.Context, c connection) error {
			group, err := c.CreateGroup(ctx, kind, voters)
			if err != nil {
				return err
			}
			return c.printGroup(ctx, sh, group, fmt.Sprintf("group %d is made", group))
		})
	}
}

// nodes reads a list of node ids.
func (s *settings) nodes(name string) (ids []wire.NodeID) {
	x := s.find(name)
	if x.value == "" {
		return nil
	}
	for part := range strings.SplitSeq(x.value, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(part), 10, 64)
		if err != nil || n == 0 || n > uint64(wire.MaxNodeID) {
			s.fault(x, "%q is no node id", part)
			continue
		}
		if slices.Contains(ids, wire.NodeID(n)) {
			s.fault(x, "node %d is listed twice", n)
		}
		ids = append(ids, wire.NodeID(n))
	}
	slices.Sort(ids)
	return ids
}

func groupDelete(sh *shell) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		group := s.groupID(0)
		s.output(sh)
		return withClient(ctx, sh, s, func(ctx context.Context, c connection) error {
			if err := c.DeleteGroup(ctx, group); err != nil {
				return err
			}
			if c.mode == "json" {
				return printJSON(sh.out, struct {
					ID      wire.GroupID `json:"id"`
					Deleted bool         `json:"deleted"`
				}{group, true})
			}
			_, err := fmt.Fprintf(sh.out, "group %d is deleted\n", group)
			return err
		})
	}
}
