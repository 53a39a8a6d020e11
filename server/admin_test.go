package server

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flotilla/client"
	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// TestAdministrationOverQUIC: each method of the client asks the node for what its name says, and brings back what there is.
func TestAdministrationOverQUIC(t *testing.T) {
	c := newCluster(t, newBackend(1), 1, defaultLimits())
	cl := c.dial(t)
	ctx := t.Context()
	for name, step := range map[string]struct {
		do   func() error
		want protocol.Admin
	}{
		"add":      {func() error { return cl.AddNode(ctx, 2, "a:1") }, protocol.Admin{Op: protocol.OpAddNode, Node: 2, Text: "a:1"}},
		"remove":   {func() error { return cl.RemoveNode(ctx, 2) }, protocol.Admin{Op: protocol.OpRemoveNode, Node: 2}},
		"force":    {func() error { return cl.ForceRemoveNode(ctx, 2) }, protocol.Admin{Op: protocol.OpForceRemoveNode, Node: 2}},
		"drain":    {func() error { return cl.DrainNode(ctx, 2) }, protocol.Admin{Op: protocol.OpDrainNode, Node: 2}},
		"undrain":  {func() error { return cl.UndrainNode(ctx, 2) }, protocol.Admin{Op: protocol.OpUndrainNode, Node: 2}},
		"move":     {func() error { return cl.MoveNode(ctx, 2, "b:1") }, protocol.Admin{Op: protocol.OpMoveNode, Node: 2, Text: "b:1"}},
		"delete":   {func() error { return cl.DeleteGroup(ctx, 5) }, protocol.Admin{Op: protocol.OpDeleteGroup, Group: 5}},
		"transfer": {func() error { return cl.TransferLeader(ctx, 5, 2) }, protocol.Admin{Op: protocol.OpTransfer, Group: 5, Node: 2}},
		"token": {func() error {
			token, err := cl.JoinToken(ctx)
			if token != "secret" {
				t.Errorf("token %q", token)
			}
			return err
		}, protocol.Admin{Op: protocol.OpJoinToken}},
		"create": {func() error {
			g, err := cl.CreateGroup(ctx, "queue", []wire.NodeID{1, 2})
			if g != 7 {
				t.Errorf("made group %d, want 7", g)
			}
			return err
		}, protocol.Admin{Op: protocol.OpCreateGroup, Text: "queue", Voters: []wire.NodeID{1, 2}}},
	} {
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(&step.want, c.nodes[0].asked.Load(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestAdministrationRefused: a refusal reaches the administrator with its reason, and at once; a node that is behind in epochs is asked
// until it has healed (P26).
func TestAdministrationRefused(t *testing.T) {
	c := newCluster(t, newBackend(1), 1, defaultLimits())
	cl := c.dial(t)
	var e *client.Error
	err := cl.RemoveNode(t.Context(), 1)
	if !errors.As(err, &e) || e.Code != "unsafe" || e.Class != protocol.ClassFenced || !strings.Contains(e.Message, "too few voters would be alive in groups 1") {
		t.Errorf("unsafe: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := cl.DrainNode(ctx, 1); !errors.As(err, &e) || e.Code != "stale_epoch" || ctx.Err() == nil {
		t.Errorf("behind: %v, %v", err, ctx.Err())
	}
}
