package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"flotilla/client"
	"flotilla/raft/wire"
)

// followEvery is how often a command that waits looks how far things have come.
const followEvery = 200 * time.Millisecond

// follow prints a line whenever what look says changes, until it is done or ctx ends. Lines go to stderr: stdout has the result.
func (c connection) follow(ctx context.Context, sh *shell, look func(client.Status) (said string, done bool)) error {
	every := time.NewTicker(followEvery)
	defer every.Stop()
	last := ""
	for {
		st, err := c.Status(ctx)
		if err != nil {
			return unfinished(last, err)
		}
		said, done := look(st)
		if said != last {
			last = said
			fmt.Fprintln(sh.err, said)
		}
		if done {
			return nil
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return unfinished(last, context.Cause(ctx))
		}
	}
}

// unfinished says that something was agreed on and goes on, though nobody waits for it any more.
func unfinished(last string, err error) error {
	if last != "" {
		err = fmt.Errorf("%s: %w", last, err)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fail(exitUnavailable, err, "it goes on by itself: look again, or wait longer with --timeout")
}

// printNode prints one node as member list does, or what was done.
func (c connection) printNode(ctx context.Context, sh *shell, id wire.NodeID, said string) error {
	return c.print(ctx, sh, said, func(st client.Status) any {
		i := slices.IndexFunc(st.Nodes, func(n client.NodeStatus) bool { return n.ID == id })
		if i < 0 {
			return client.NodeStatus{ID: id} // the node that answered now has not heard of it yet
		}
		return st.Nodes[i]
	})
}

// printGroup prints one group as group list does, or what was done.
func (c connection) printGroup(ctx context.Context, sh *shell, id wire.GroupID, said string) error {
	return c.print(ctx, sh, said, func(st client.Status) any {
		i := slices.IndexFunc(st.Groups, func(g client.GroupStatus) bool { return g.ID == id })
		if i < 0 {
			return client.GroupStatus{ID: id}
		}
		return st.Groups[i]
	})
}

func (c connection) print(ctx context.Context, sh *shell, said string, pick func(client.Status) any) error {
	if c.mode != "json" {
		_, err := fmt.Fprintln(sh.out, said)
		return err
	}
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	return printJSON(sh.out, pick(st))
}
