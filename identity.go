package flotilla

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"flotilla/birth"
	"flotilla/catalog"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// identify finds out who this node is: from the catalog on a restart, where the Config must not contradict it
// (P33), else from the Config. Either way the certificates must agree.
func (h *Host) identify(context.Context) error {
	view := h.catalog.View()
	h.identity = view.Identity
	if view.Born {
		h.cfg.NodeID = orDefault(h.cfg.NodeID, h.identity.NodeID)
		if err := contradictionsOf(&h.cfg, view); err != nil {
			return err
		}
		if self, _ := view.Topology.Find(h.cfg.NodeID); self.State == catalog.NodeRemoved {
			return ErrRemoved
		}
	}
	if !view.Born && !h.cfg.Bootstrap && len(h.cfg.InitialCluster) == 0 {
		return ErrNotBorn
	}
	if h.cfg.NodeID == wire.NoNode {
		return &ConfigError{Text: "no node id: the first start needs one"}
	}
	h.cfg.Cluster = orDefault(h.cfg.Cluster, orDefault(h.identity.ClusterName, defaultCluster))
	var err error
	if h.tls, err = h.source(h.cfg.Cluster); err != nil {
		return err
	}
	want, got := pki.NodeName(h.cfg.Cluster, h.cfg.NodeID), h.tls.Current().Name
	if got != want {
		return fmt.Errorf("the certificate names %s, this node is %s", got, want)
	}
	if view.Born {
		err = h.checkBirthList(view)
	}
	h.cfg = h.cfg.populated()
	return err
}

// contradictionsOf reports every setting of c that disagrees with the catalog, joined.
func contradictionsOf(c *Config, view *catalog.Snapshot) error {
	var errs []error
	compare := func(setting, given, have string, isGiven bool, next string) {
		if isGiven && given != have {
			errs = append(errs, &ContradictionError{Setting: setting, Given: given, Have: have, Next: next})
		}
	}
	self, _ := view.Topology.Find(view.Identity.NodeID)
	born := "it was fixed when the cluster was born: leave it away"
	compare("node-id", c.NodeID.String(), view.Identity.NodeID.String(), c.NodeID != wire.NoNode,
		"this directory belongs to another node: correct the id, or choose another directory")
	compare("cluster", c.Cluster, view.Identity.ClusterName, c.Cluster != "",
		"this directory belongs to another cluster: correct the name, or choose another directory")
	compare("groups", strconv.Itoa(c.Groups), strconv.FormatUint(view.Settings.Groups, 10), c.Groups != 0, born)
	compare("replication", strconv.Itoa(c.Replication), strconv.FormatUint(view.Settings.Replication, 10), c.Replication != 0, born)
	compare("advertise", c.Advertise, self.Addr, c.Advertise != "",
		"the other nodes dial the registered address: start the node there again")
	return errors.Join(errs...)
}

// plan is what the Config says of the cluster's birth; addr is this node's address.
func (h *Host) plan(addr string) birth.Plan {
	p := birth.Plan{
		Name: h.cfg.Cluster, Authority: birth.AuthorityOf(h.tls.Current()), Nodes: h.cfg.InitialCluster,
		Groups: h.cfg.Groups, Replication: h.cfg.Replication,
	}
	if h.cfg.Bootstrap {
		p.Nodes = map[NodeID]string{h.cfg.NodeID: addr}
	}
	return p
}

// checkBirthList compares the list a restart is given with the one the cluster was born with. The cluster's id
// remembers it; after a change of the certificate authority, the topology has to do.
func (h *Host) checkBirthList(view *catalog.Snapshot) error {
	self, _ := view.Topology.Find(h.cfg.NodeID)
	plan := h.plan(self.Addr)
	if len(plan.Nodes) == 0 || plan.ClusterID() == h.identity.ClusterID {
		return nil
	}
	have := map[NodeID]string{}
	for _, n := range view.Topology.Nodes {
		have[n.ID] = n.Addr
	}
	if maps.Equal(have, plan.Nodes) {
		return nil
	}
	return &ContradictionError{
		Setting: map[bool]string{true: "bootstrap", false: "initial-cluster"}[h.cfg.Bootstrap],
		Given:   birth.ListText(plan.Nodes), Have: birth.ListText(have),
		Next: "members change by commands to the running cluster: leave the flag away, or choose another directory for another cluster",
	}
}

// bear makes a new cluster's part on this node: the logs of its groups, then the catalog's one transaction. A crash
// in between leaves untouched logs, which the next start finds and replaces.
func (h *Host) bear(context.Context) error {
	if h.identity.NodeID != wire.NoNode {
		return h.checkLogs()
	}
	plan := h.plan(orDefault(h.cfg.Advertise, h.cfg.Listen))
	addr, listed := plan.Nodes[h.cfg.NodeID]
	switch {
	case !listed:
		return &ConfigError{fmt.Sprintf("node %d is not in the initial cluster %s", h.cfg.NodeID, birth.ListText(plan.Nodes))}
	case h.cfg.Advertise != "" && h.cfg.Advertise != addr:
		return &ConfigError{fmt.Sprintf("the initial cluster has node %d at %s, it advertises %s", h.cfg.NodeID, addr, h.cfg.Advertise)}
	}
	b := plan.Of(h.cfg.NodeID)
	if err := h.createLogs(b.Groups); err != nil {
		return err
	}
	h.identity = b.Identity
	return h.catalog.Bootstrap(b)
}

// createLogs makes the logs of this node's groups in one commit.
func (h *Host) createLogs(groups []catalog.Group) error {
	var batch []wire.LogUpdate
	for _, old := range h.store.Groups() {
		if old.Err != nil || old.Last >= old.First || old.HardState != (wire.HardState{}) {
			return &UnsafeError{
				What: fmt.Sprintf("the log of group %d is not empty, but the catalog is", old.Group),
				Next: "catalog.db was lost: restore it, or move the whole directory away and let the node rejoin",
			}
		}
		batch = append(batch, wire.LogUpdate{Group: old.Group, Drop: true})
	}
	if len(batch) > 0 {
		if err := h.store.Commit(batch); err != nil {
			return err
		}
	}
	batch = batch[:0]
	for _, g := range groups {
		m := wire.Membership{Voters: g.Voters, Learners: g.Learners}
		if m.Contains(h.cfg.NodeID) {
			batch = append(batch, wire.LogUpdate{Group: g.ID, Create: true, SetMembership: true, Membership: m})
		}
	}
	return h.store.Commit(batch)
}

// checkLogs refuses a directory whose log was lost: an empty one would vote again in terms it has voted in (D17).
func (h *Host) checkLogs() error {
	if _, ok := h.store.State(wire.MetadataGroup); ok {
		return nil
	}
	return &UnsafeError{
		What: fmt.Sprintf("node %d has a catalog but no log", h.identity.NodeID),
		Next: "the directory log was lost: restore it, or move the whole data directory away and let the node rejoin",
	}
}

// refusedGeneration says that another data directory holds this node's place (N8).
func refusedGeneration(id NodeID, dir string) error {
	return &UnsafeError{
		What: fmt.Sprintf("the cluster knows node %d by another data directory than %s", id, dir),
		Next: "start it from its first directory; a node whose disk was lost must rejoin under a new id",
	}
}
