package steward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// joinPause is how long a joiner waits when none of the members took it in.
const joinPause = 500 * time.Millisecond

// Joiner is a node without a cluster that asks its way into one.
type Joiner struct {
	Node       wire.NodeID
	Cluster    string
	Generation wire.Generation
	// Addr is what others will dial; Version that of the program.
	Addr, Version string
	// Members are the addresses to ask, in turn; the node's own may be among them.
	Members []string
	// Ask carries one request to an address and returns the reply; errors are *wire.Error or of the network.
	Ask func(ctx context.Context, addr string, request []byte) ([]byte, error)
	// Tell is told what went wrong with an attempt that is repeated, once for each way it went wrong. May be nil.
	Tell func(addr string, err error)
}

// join asks until a member takes the node in, a final refusal, or the end of ctx. It returns what the node's catalog
// and its log of group 0 begin with.
func (j *Joiner) join(ctx context.Context) (catalog.Identity, *catalog.Snapshot, Base, error) {
	q := admit{Node: j.Node, Generation: j.Generation, Addr: j.Addr, Version: j.Version}
	request := q.append(nil)
	var a *admitted
	err := j.try(ctx, func(addr string) (err error) {
		reply, err := j.Ask(ctx, addr, request)
		if err == nil {
			a, err = readAdmitted(reply)
		}
		if err == nil && !a.sound(j.Node) {
			err = errors.New("the member's answer makes no sense")
		}
		return err
	})
	if err != nil {
		return catalog.Identity{}, nil, Base{}, fmt.Errorf("join cluster %s as node %d: %w", j.Cluster, j.Node, err)
	}
	if a.Cluster != j.Cluster {
		return catalog.Identity{}, nil, Base{}, fmt.Errorf("join cluster %s as node %d: the member is of cluster %s", j.Cluster, j.Node, a.Cluster)
	}
	id := catalog.Identity{ClusterID: a.ClusterID, ClusterName: a.Cluster, NodeID: j.Node, Generation: j.Generation}
	return id, &a.View, a.Base, nil
}

// sound reports whether node can begin with a.
func (a *admitted) sound(node wire.NodeID) bool {
	b := &a.Base
	return b.Index == a.View.Applied && b.Index > 0 && b.Term > 0 && b.Members.Index <= b.Index && b.Members.Contains(node) && !b.Members.Joint()
}

// certify asks for a certificate for a key that only this node has.
func (j *Joiner) certify(ctx context.Context, secret, csr []byte) (certificate, authority []byte, err error) {
	q := certify{Node: j.Node, Secret: secret, CSR: csr}
	request := q.append(nil)
	err = j.try(ctx, func(addr string) error {
		reply, err := j.Ask(ctx, addr, request)
		if err != nil {
			return err
		}
		c, err := readCertified(reply)
		if err == nil {
			certificate, authority = c.Certificate, c.Authority
		}
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("ask for a certificate of node %d: %w", j.Node, err)
	}
	return certificate, authority, nil
}

// try asks one member after the other, again and again, until one answers, or all who say anything in one round refuse for good:
// one member's word is not enough, as another may keep the authority's key or know of a token made just now.
func (j *Joiner) try(ctx context.Context, ask func(addr string) error) error {
	var last error
	told := map[string]string{}
	for {
		var final error
		open := false // somebody may take the node in later
		for _, addr := range j.Members {
			if addr == j.Addr {
				continue // that is this node
			}
			err := ask(addr)
			if err == nil {
				return nil
			}
			last = err
			var refused *wire.Error
			switch {
			case !errors.As(err, &refused): // it says nothing
			case refused.Retryable() || refused.Code == wire.CodeUnknownGroup:
				open = true
			default:
				final = err
			}
			if j.Tell != nil && ctx.Err() == nil && told[addr] != err.Error() {
				told[addr] = err.Error()
				j.Tell(addr, err)
			}
		}
		if final != nil && !open {
			return final
		}
		pause := time.NewTimer(joinPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return errors.Join(context.Cause(ctx), last)
		}
	}
}

// dialable refuses an address that others cannot dial, and one that would upset the terminals and logs on which it is shown.
func dialable(addr string) error {
	host, text, err := net.SplitHostPort(addr)
	ip, _ := netip.ParseAddr(host)
	port, errPort := strconv.ParseUint(text, 10, 16)
	if err != nil || host == "" || errPort != nil || port == 0 || ip.IsUnspecified() || len(addr) > maxText || !catalog.Visible(addr) {
		return &wire.Error{Code: wire.CodeBadRequest, Detail: fmt.Sprintf("nobody can dial %q: say HOST:PORT", addr)}
	}
	return nil
}
