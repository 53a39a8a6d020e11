package birth

import (
	"cmp"
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"strconv"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// Given is what an operator says at a start. Zero fields were not said, and silence contradicts nothing.
type Given struct {
	Node                wire.NodeID
	Cluster, Advertise  string
	Groups, Replication int
	// Nodes is an initial cluster; Bootstrap means one of this node alone.
	Nodes     map[wire.NodeID]string
	Bootstrap bool
}

// Plan is the cluster that g has born: what others dial is the list's, or the one node's that Bootstrap means, which
// listens on listen.
func (g *Given) Plan(authority *x509.Certificate, listen string) *Plan {
	p := &Plan{Name: g.Cluster, Authority: authority, Nodes: g.Nodes, Groups: g.Groups, Replication: g.Replication}
	if g.Bootstrap {
		p.Nodes = map[wire.NodeID]string{g.Node: cmp.Or(g.Advertise, listen)}
	}
	return p
}

// Check reports everything in which g disagrees with what a node's catalog holds, joined (P33), and ErrRemoved for a
// node that must not start.
func (g *Given) Check(view *catalog.Snapshot) error {
	var errs []error
	compare := func(said bool, setting, given, have, next string) {
		if said && given != have {
			errs = append(errs, &ContradictionError{Setting: setting, Given: given, Have: have, Next: next})
		}
	}
	self, _ := view.Topology.Find(view.Identity.NodeID)
	if self.State == catalog.NodeRemoved {
		return ErrRemoved
	}
	const fixed = "it was fixed when the cluster was born: leave it away"
	compare(g.Node != wire.NoNode, "node-id", g.Node.String(), view.Identity.NodeID.String(),
		"this directory belongs to another node: correct the id, or choose another directory")
	compare(g.Cluster != "", "cluster", g.Cluster, view.Identity.ClusterName,
		"this directory belongs to another cluster: correct the name, or choose another directory")
	compare(g.Groups != 0, "groups", strconv.Itoa(g.Groups), strconv.FormatUint(view.Settings.Groups, 10), fixed)
	compare(g.Replication != 0, "replication", strconv.Itoa(g.Replication), strconv.FormatUint(view.Settings.Replication, 10), fixed)
	compare(g.Advertise != "", "advertise", g.Advertise, self.Addr,
		"the other nodes dial the registered address: start the node there again")
	return errors.Join(errs...)
}

// CheckList compares the list of nodes given with the one the cluster was born with. The cluster's id remembers it;
// after a change of the certificate authority, the topology has to do. The next step depends on what logs hold.
func (g *Given) CheckList(view *catalog.Snapshot, authority *x509.Certificate, logs Logs) error {
	plan := Plan{Name: view.Identity.ClusterName, Authority: authority, Nodes: g.Nodes}
	setting := "initial-cluster"
	if g.Bootstrap {
		self, _ := view.Topology.Find(view.Identity.NodeID)
		setting, plan.Nodes = "bootstrap", map[wire.NodeID]string{self.ID: self.Addr}
	}
	if len(plan.Nodes) == 0 || plan.ClusterID() == view.Identity.ClusterID {
		return nil
	}
	have := map[wire.NodeID]string{}
	for _, n := range view.Topology.Nodes {
		have[n.ID] = n.Addr
	}
	if maps.Equal(have, plan.Nodes) {
		return nil
	}
	next := "the members of a cluster that has run are not changed by a list: leave it away, or choose another directory for another cluster"
	if !slices.ContainsFunc(logs.Groups(), touched) {
		next = "leave the list away; was the first one wrong: this directory holds no data yet, remove it and start again with the right one"
	}
	return &ContradictionError{Setting: setting, Given: ListText(plan.Nodes), Have: ListText(have), Next: next}
}
