package flotilla

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"flotilla/catalog"
	"flotilla/catalog/birth"
	"flotilla/catalog/steward"
	"flotilla/quictransport"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// giveUp ends a node that cannot go on with its data directory. One that was never registered and is refused because the
// cluster knows another one is marked to be started over: the next Open joins with it, by itself (N8).
func (h *Host) giveUp(why error) {
	h.givenUp.Do(func() {
		var unsafe *UnsafeError
		if errors.As(why, &unsafe) && h.meta.generation(h.identity.NodeID) != h.identity.Generation {
			why = errors.Join(fmt.Errorf("node %d: %w", h.identity.NodeID, ErrSuperseded), birth.MarkSuperseded(h.cfg.Dir, h.meta.View()))
		}
		h.fail(why)
	})
}

// startOver empties a directory that is marked to be started over. What it held was never known to the cluster.
func (h *Host) startOver(context.Context) error {
	self, members, err := birth.StartOver(h.cfg.Dir, h.catalogPath(), h.logPath(), filepath.Join(h.cfg.Dir, "snap"), filepath.Join(h.cfg.Dir, "recv"))
	if len(members) > 0 {
		h.cfg.Join, h.cfg.InitialCluster, h.cfg.Bootstrap = append(h.cfg.Join, members...), nil, false
		h.cfg.Advertise = cmp.Or(h.cfg.Advertise, self)
	}
	return err
}

// entrance is this node's way into the cluster.
func (h *Host) entrance() *steward.Entrance {
	return &steward.Entrance{Conn: h.cfg.Conn, Joiner: steward.Joiner{
		Node: h.cfg.NodeID, Cluster: h.cfg.Cluster, Generation: birth.NewGeneration(), Addr: cmp.Or(h.cfg.Advertise, h.cfg.Listen),
		Version: h.cfg.Version, Members: h.cfg.Join,
		Tell: func(addr string, err error) { h.log.Warn("not taken in yet", "member", addr, "error", err) },
	}}
}

func (h *Host) tlsDir() string { return cmp.Or(h.cfg.TLSDir, filepath.Join(h.cfg.Dir, "tls")) }

// authority is the cluster's certificate authority, where its key is kept beside this node's certificate.
func (h *Host) authority() (*pki.Authority, error) { return pki.LoadCA(h.tlsDir()) }

// handleJoin serves joiners; what they begin with carries this node's epoch (P25).
func (h *Host) handleJoin(ctx context.Context, from quictransport.Joiner, request []byte) ([]byte, error) {
	if !h.Serving() {
		return nil, &wire.Error{Code: wire.CodeNoLeader, Detail: "this node does not serve yet: ask another one"}
	}
	return h.steward.HandleJoin(ctx, from.Name.Node, request)
}

// base is where a log of group 0 begins that starts from view.
func (h *Host) base(view *catalog.Snapshot) (steward.Base, error) {
	s, _ := h.engine.GroupStatus(wire.MetadataGroup) // after view was taken: changes take effect before the machine goes on
	if s.Members.Index > view.Applied || s.Members.Joint() {
		return steward.Base{}, errors.New("the members of group 0 are changing")
	}
	term, err := h.store.Term(wire.MetadataGroup, view.Applied)
	return steward.Base{Index: view.Applied, Term: term, Members: s.Members}, err
}
