package steward

import (
	"flotilla/catalog"
	"flotilla/raft/wire"
)

// joinVersion is the first value of every request and reply. Fields are never added: a new kind or version is.
const joinVersion = 1

// The kinds of requests of a joiner. Values never change.
const (
	kindAdmit   = 1
	kindCertify = 2
	kindReplace = 3
)

// admit asks that a node with a certificate be taken into the cluster.
type admit struct {
	Node          wire.NodeID
	Generation    wire.Generation
	Addr, Version string
}

// replace asks that a node may come with another disk, Generation, in place of one that can be read in part only. It is admitted, and
// not waited for.
type replace admit

// certify asks for a certificate of Node by a token's secret.
type certify struct {
	Node   wire.NodeID
	Secret []byte
	CSR    []byte // DER
}

// admitted is the answer to admit: everything that the node begins with.
type admitted struct {
	ClusterID wire.ClusterID
	Cluster   string
	Base      Base
	View      catalog.Snapshot
}

// certified is the answer to certify, both PEM.
type certified struct{ Certificate, Authority []byte }

func (q *admit) append(dst []byte) []byte { return q.appendAs(dst, kindAdmit) }

func (q *replace) append(dst []byte) []byte { return (*admit)(q).appendAs(dst, kindReplace) }

func (q *admit) appendAs(dst []byte, kind uint64) []byte {
	dst = wire.AppendUint(wire.AppendUint(wire.AppendArray(dst, 6), joinVersion), kind)
	dst = wire.AppendUint(wire.AppendUint(dst, uint64(q.Node)), uint64(q.Generation))
	return wire.AppendString(wire.AppendString(dst, q.Addr), q.Version)
}

func (q *certify) append(dst []byte) []byte {
	dst = wire.AppendUint(wire.AppendUint(wire.AppendArray(dst, 5), joinVersion), kindCertify)
	dst = wire.AppendUint(dst, uint64(q.Node))
	return wire.AppendBytes(wire.AppendBytes(dst, q.Secret), q.CSR)
}

// readRequest reads an *admit, *replace or *certify. What it returns aliases b.
func readRequest(b []byte) (any, error) {
	r := wire.NewReader(b)
	fields, version, kind := r.ArrayLen(maxText), r.Uint(), r.Uint()
	node := func() wire.NodeID { return wire.NodeID(r.UintMax(uint64(wire.MaxNodeID))) }
	switch {
	case version == joinVersion && (kind == kindAdmit || kind == kindReplace) && fields == 6:
		q := &admit{Node: node(), Generation: wire.Generation(r.Uint()), Addr: r.String(maxText), Version: r.String(maxText)}
		if kind == kindReplace {
			return (*replace)(q), r.Done()
		}
		return q, r.Done()
	case version == joinVersion && kind == kindCertify && fields == 5:
		q := &certify{Node: node(), Secret: r.Bytes(), CSR: r.Bytes()}
		return q, r.Done()
	}
	r.Fail("join request", wire.ErrInvalid)
	return nil, r.Done()
}

func (a *admitted) append(dst []byte) []byte {
	dst = wire.AppendUint(wire.AppendArray(dst, 7), joinVersion)
	dst = wire.AppendString(wire.AppendBytes(dst, a.ClusterID[:]), a.Cluster)
	dst = wire.AppendUint(wire.AppendUint(dst, uint64(a.Base.Index)), uint64(a.Base.Term))
	dst = wire.AppendMembership(dst, &a.Base.Members)
	return wire.AppendBytes(dst, a.View.AppendShared(nil))
}

func readAdmitted(b []byte) (*admitted, error) {
	r := wire.NewReader(b)
	r.Array(7)
	if r.UintMax(wire.MaxNumber) != joinVersion {
		r.Fail("version of the reply", wire.ErrInvalid)
	}
	a := &admitted{}
	if n := copy(a.ClusterID[:], r.Bytes()); n != len(a.ClusterID) {
		r.Fail("cluster id", wire.ErrInvalid)
	}
	a.Cluster = r.String(maxText)
	a.Base = Base{Index: wire.Index(r.UintMax(wire.MaxNumber)), Term: wire.Term(r.UintMax(wire.MaxNumber)), Members: wire.ReadMembership(r)}
	shared := r.Bytes()
	if err := r.Done(); err != nil {
		return nil, err
	}
	var err error
	a.View, err = catalog.ReadShared(shared)
	return a, err
}

func (c *certified) append(dst []byte) []byte {
	dst = wire.AppendUint(wire.AppendArray(dst, 3), joinVersion)
	return wire.AppendBytes(wire.AppendBytes(dst, c.Certificate), c.Authority)
}

func readCertified(b []byte) (*certified, error) {
	r := wire.NewReader(b)
	r.Array(3)
	if r.UintMax(wire.MaxNumber) != joinVersion {
		r.Fail("version of the reply", wire.ErrInvalid)
	}
	c := &certified{Certificate: r.Bytes(), Authority: r.Bytes()}
	return c, r.Done()
}
