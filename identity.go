package flotilla

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"flotilla/catalog"
	"flotilla/catalog/birth"
	"flotilla/catalog/restore"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// rehearse goes through what a first start is refused for, before there is a directory: a refusal leaves nothing behind.
func (h *Host) rehearse(ctx context.Context) error {
	if err := restore.Check(h.cfg.Dir); err != nil {
		return err
	}
	if _, err := os.Lstat(h.catalogPath()); !errors.Is(err, fs.ErrNotExist) {
		return nil // no first start, or something that the next steps name
	}
	if err := h.identify(ctx, &catalog.Snapshot{}); err != nil {
		return err
	}
	if err := h.openSocket(ctx); err != nil || len(h.cfg.Join) > 0 {
		return err
	}
	return h.given().Plan(nil, h.cfg.Listen).CheckSelf(h.cfg.NodeID, h.cfg.Advertise)
}

// identify finds out who this node is: from the catalog on a restart, where the Config must not contradict it
// (P33), else from the Config. Either way the certificates must agree.
func (h *Host) identify(ctx context.Context, view *catalog.Snapshot) error {
	h.identity = view.Identity
	switch {
	case view.Born:
		if err := h.given().Check(view); err != nil {
			return err
		}
		h.cfg.NodeID, h.cfg.Cluster = h.identity.NodeID, h.identity.ClusterName
	case !h.cfg.Bootstrap && len(h.cfg.InitialCluster) == 0 && len(h.cfg.Join) == 0:
		return ErrNotBorn
	case h.cfg.NodeID == wire.NoNode:
		return &ConfigError{Text: "no node id: the first start needs one"}
	}
	h.cfg = h.cfg.populated()
	if h.tls = h.cfg.TLS; h.tls == nil {
		var err error
		if h.cfg.JoinToken != "" && len(h.cfg.Join) > 0 {
			if err := h.openSocket(ctx); err != nil {
				return err
			}
			if err := h.entrance().Certify(ctx, h.tlsDir(), h.cfg.JoinToken); err != nil {
				return err
			}
		}
		if h.tls, err = pki.OpenNode(h.tlsDir(), h.cfg.Cluster, h.cfg.NodeID); err != nil {
			return err
		}
	}
	if got, want := h.tls.Current().Name, pki.NodeName(h.cfg.Cluster, h.cfg.NodeID); got != want {
		return fmt.Errorf("the certificate names %s, this node is %s", got, want)
	}
	return nil
}

// given is what the Config says of a cluster.
func (h *Host) given() *birth.Given {
	c := &h.cfg
	return &birth.Given{
		Node: c.NodeID, Cluster: c.Cluster, Advertise: c.Advertise, Groups: c.Groups, Replication: c.Replication,
		Nodes: c.InitialCluster, Bootstrap: c.Bootstrap,
	}
}

// bear makes a new cluster's part on this node: the logs of its groups, then the catalog's one transaction. A crash
// in between leaves untouched logs, which the next start finds and replaces.
func (h *Host) bear(ctx context.Context) error {
	given, authority := h.given(), birth.AuthorityOf(h.tls.Current())
	if h.identity.NodeID != wire.NoNode {
		if err := birth.CheckLogs(h.store, h.identity.NodeID); err != nil {
			return err
		}
		return given.CheckList(h.catalog.View(), authority, h.store)
	}
	if len(h.cfg.Join) > 0 {
		id, err := h.entrance().Enter(ctx, h.tls, h.store, h.catalog, h.cfg.Dir)
		h.identity = id
		return err
	}
	plan := given.Plan(authority, h.cfg.Listen)
	if err := plan.CheckSelf(h.cfg.NodeID, h.cfg.Advertise); err != nil {
		return err
	}
	b := plan.Of(h.cfg.NodeID)
	if err := birth.CreateLogs(h.store, h.cfg.NodeID, b.Groups); err != nil {
		return err
	}
	h.identity = b.Identity
	return h.catalog.Bootstrap(b)
}
