package client

import (
	"context"
	"errors"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// Administration of the cluster, by any of its nodes. What returned nil is agreed on and happens, whatever becomes of the
// node that was asked; Status shows how far it has come. Errors are *Error.

// AddNode makes a node known under an address, HOST:PORT, before it joins.
func (c *Client) AddNode(ctx context.Context, id wire.NodeID, addr string) error {
	_, err := c.administer(ctx, "add node", protocol.Admin{Op: protocol.OpAddNode, Node: id, Text: addr})
	return err
}

// RemoveNode takes a node out of the cluster for good, once its replicas have moved away. Refused as unsafe when a group would lose its
// majority.
func (c *Client) RemoveNode(ctx context.Context, id wire.NodeID) error {
	_, err := c.administer(ctx, "remove node", protocol.Admin{Op: protocol.OpRemoveNode, Node: id})
	return err
}

// ForceRemoveNode takes a node out of the cluster at once. Groups that lose their majority by it stay without.
func (c *Client) ForceRemoveNode(ctx context.Context, id wire.NodeID) error {
	_, err := c.administer(ctx, "remove node", protocol.Admin{Op: protocol.OpForceRemoveNode, Node: id})
	return err
}

// DrainNode takes leaderships and replicas from a node, which stays a member.
func (c *Client) DrainNode(ctx context.Context, id wire.NodeID) error {
	_, err := c.administer(ctx, "drain node", protocol.Admin{Op: protocol.OpDrainNode, Node: id})
	return err
}

// UndrainNode lets a node take replicas again; it calls off a removal, too, that has not come to its end.
func (c *Client) UndrainNode(ctx context.Context, id wire.NodeID) error {
	_, err := c.administer(ctx, "undrain node", protocol.Admin{Op: protocol.OpUndrainNode, Node: id})
	return err
}

// MoveNode tells the cluster where a node is dialled from now on.
func (c *Client) MoveNode(ctx context.Context, id wire.NodeID, addr string) error {
	_, err := c.administer(ctx, "move node", protocol.Admin{Op: protocol.OpMoveNode, Node: id, Text: addr})
	return err
}

// JoinToken returns a secret by which a node without a certificate may join once, within ten minutes. Only a node that keeps the
// key of the cluster's authority makes one, and only it gives the joiner a certificate: the others are asked, too, if the first does not.
func (c *Client) JoinToken(ctx context.Context) (string, error) {
	ask := protocol.Admin{Op: protocol.OpJoinToken}
	r, err := c.administer(ctx, "make join token", ask)
	if err == nil || !errors.Is(err, ErrUsage) {
		return r.Text, err
	}
	w := newCall()
	defer w.release()
	for _, addr := range c.routes.Load().every {
		attempt, cancel := context.WithTimeoutCause(ctx, tokenPatience, noAnswer(tokenPatience))
		_, refused := c.try(attempt, c.peer(addr), &protocol.Request{Kind: protocol.KindAdmin, Admin: ask}, w)
		cancel()
		if refused == nil && w.reply.Kind == protocol.ReplyAdmin {
			return w.reply.Text, nil
		}
	}
	return "", err
}

// CreateGroup makes a group of a kind of state machines, "" for the default one, on voters, or where there is most room when none
// are given.
func (c *Client) CreateGroup(ctx context.Context, kind string, voters []wire.NodeID) (wire.GroupID, error) {
	r, err := c.administer(ctx, "create group", protocol.Admin{Op: protocol.OpCreateGroup, Text: kind, Voters: voters})
	return r.Group, err
}

// DeleteGroup ends a group for good, which no keys may be routed to.
func (c *Client) DeleteGroup(ctx context.Context, id wire.GroupID) error {
	_, err := c.administer(ctx, "delete group", protocol.Admin{Op: protocol.OpDeleteGroup, Group: id})
	return err
}

// TransferLeader hands the leadership of a group to another of its voters.
func (c *Client) TransferLeader(ctx context.Context, id wire.GroupID, to wire.NodeID) error {
	_, err := c.administer(ctx, "transfer leadership", protocol.Admin{Op: protocol.OpTransfer, Group: id, Node: to})
	return err
}

// administer asks until a node answers. What must not be done twice is not asked again once a node may have begun with it.
func (c *Client) administer(ctx context.Context, op string, a protocol.Admin) (protocol.Reply, error) {
	w := newCall()
	defer w.release()
	p := newPause()
	for {
		s, err := c.try(ctx, c.anyPeer(), &protocol.Request{Kind: protocol.KindAdmin, Admin: a}, w)
		switch {
		case err == nil && w.reply.Kind == protocol.ReplyAdmin:
			return w.reply, nil
		case err == nil:
			return protocol.Reply{}, certain(op, nil, errUnexpected)
		case ambiguous(s, err) && !a.Op.Repeatable():
			return protocol.Reply{}, uncertain(op, nil, err)
		}
		if err := c.again(ctx, wire.MetadataGroup, &p, err); err != nil {
			return protocol.Reply{}, certain(op, nil, err)
		}
	}
}
