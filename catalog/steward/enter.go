package steward

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"flotilla/catalog"
	"flotilla/catalog/birth"
	"flotilla/quictransport"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// Entrance is the way of a node without a cluster into one: a certificate, if it has none, then a place.
type Entrance struct {
	Joiner
	// Conn is the socket that the node will serve on; it stays the caller's, and is dialled from.
	Conn net.PacketConn
}

// Certify gets the node a certificate into tlsDir by a join token, unless there is one.
func (e *Entrance) Certify(ctx context.Context, tlsDir, token string) error {
	if _, err := os.Stat(filepath.Join(tlsDir, pki.NodeFile)); !errors.Is(err, fs.ErrNotExist) {
		return nil // loading it will tell what is wrong with it
	}
	t, err := pki.ParseJoinToken(token)
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(e.Addr)
	if err != nil {
		return err
	}
	key, err := pki.NewRequest(e.Cluster, e.Node, []string{host})
	if err != nil {
		return err
	}
	e.Ask = func(ctx context.Context, addr string, request []byte) ([]byte, error) {
		return quictransport.AskJoin(ctx, e.Conn, t.TLS(e.Cluster), addr, request)
	}
	cert, authority, err := e.certify(ctx, t.Secret(), key.CSR)
	if err != nil {
		return err
	}
	return key.WriteDir(tlsDir, t, cert, authority)
}

// Enter has a member of the cluster take the node in, and writes what it begins with: the log of group 0, then the catalog's
// one transaction (P31, F47). Whatever an earlier attempt or life left in the log is let go of: the cluster counts it as lost.
func (e *Entrance) Enter(ctx context.Context, tls *pki.Source, store birth.Logs, c *catalog.Catalog, dir string) (catalog.Identity, error) {
	e.Ask = func(ctx context.Context, addr string, request []byte) ([]byte, error) {
		return quictransport.AskJoin(ctx, e.Conn, tls.DialNode(pki.JoinProtocol, wire.NoNode), addr, request)
	}
	id, view, base, err := e.join(ctx)
	if err == nil {
		err = birth.CreateBase(store, base.Index, base.Term, base.Members)
	}
	if err != nil {
		return id, err
	}
	return id, errors.Join(c.Join(id, view), birth.Unmark(dir))
}
