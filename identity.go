package flotilla

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"

	"flotilla/catalog/birth"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// identify finds out who this node is: from the catalog on a restart, where the Config must not contradict it
// (P33), else from the Config. Either way the certificates must agree.
func (h *Host) identify(context.Context) error {
	view, c := h.catalog.View(), &h.cfg
	given := birth.Given{
		Node: c.NodeID, Cluster: c.Cluster, Advertise: c.Advertise, Groups: c.Groups, Replication: c.Replication,
		Nodes: c.InitialCluster, Bootstrap: c.Bootstrap,
	}
	h.identity = view.Identity
	switch {
	case view.Born:
		if err := given.Check(view); err != nil {
			return err
		}
		h.cfg.NodeID, h.cfg.Cluster = h.identity.NodeID, h.identity.ClusterName
	case !h.cfg.Bootstrap && len(h.cfg.InitialCluster) == 0:
		return ErrNotBorn
	case h.cfg.NodeID == wire.NoNode:
		return &ConfigError{Text: "no node id: the first start needs one"}
	}
	h.cfg = h.cfg.populated()
	if h.tls = h.cfg.TLS; h.tls == nil {
		var err error
		dir := orDefault(h.cfg.TLSDir, filepath.Join(h.cfg.Dir, "tls"))
		if h.tls, err = pki.OpenNode(dir, h.cfg.Cluster, h.cfg.NodeID); err != nil {
			return err
		}
	}
	if got, want := h.tls.Current().Name, pki.NodeName(h.cfg.Cluster, h.cfg.NodeID); got != want {
		return fmt.Errorf("the certificate names %s, this node is %s", got, want)
	}
	if view.Born {
		return given.CheckList(view, birth.AuthorityOf(h.tls.Current()))
	}
	return nil
}

// bear makes a new cluster's part on this node: the logs of its groups, then the catalog's one transaction. A crash
// in between leaves untouched logs, which the next start finds and replaces.
func (h *Host) bear(context.Context) error {
	if h.identity.NodeID != wire.NoNode {
		return birth.CheckLogs(h.store, h.identity.NodeID)
	}
	plan := birth.Plan{
		Name: h.cfg.Cluster, Authority: birth.AuthorityOf(h.tls.Current()), Nodes: h.cfg.InitialCluster,
		Groups: h.cfg.Groups, Replication: h.cfg.Replication,
	}
	if h.cfg.Bootstrap {
		plan.Nodes = map[NodeID]string{h.cfg.NodeID: orDefault(h.cfg.Advertise, h.cfg.Listen)}
	}
	if err := checkAddress(&h.cfg, plan.Nodes); err != nil {
		return err
	}
	b := plan.Of(h.cfg.NodeID)
	if err := birth.CreateLogs(h.store, h.cfg.NodeID, b.Groups); err != nil {
		return err
	}
	h.identity = b.Identity
	return h.catalog.Bootstrap(b)
}

// checkAddress demands that this node stands in the list, under the address it advertises, which others can dial.
func checkAddress(c *Config, nodes map[NodeID]string) error {
	addr, listed := nodes[c.NodeID]
	host, _, _ := net.SplitHostPort(addr)
	ip, _ := netip.ParseAddr(host)
	switch {
	case !listed:
		return &ConfigError{Text: fmt.Sprintf("node %d is not in the initial cluster %s", c.NodeID, birth.ListText(nodes))}
	case c.Advertise != "" && c.Advertise != addr:
		return &ConfigError{Text: fmt.Sprintf("the initial cluster has node %d at %s, it advertises %s", c.NodeID, addr, c.Advertise)}
	case host == "" || ip.IsUnspecified():
		return &ConfigError{Text: fmt.Sprintf("nobody can dial %s: advertise an address of this machine", addr)}
	}
	return nil
}
