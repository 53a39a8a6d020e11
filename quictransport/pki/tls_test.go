package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"
	"time"

	"flotilla/raft/wire"
)

func nodeID(n uint64) wire.NodeID { return wire.NodeID(n) }

// shake runs one TLS handshake over a pipe and returns both sides' errors.
func shake(server, client *tls.Config) (serverErr, clientErr error) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	done := make(chan error, 1)
	go func() {
		s := tls.Server(a, server)
		err := s.Handshake()
		if err != nil {
			a.Close()
		}
		done <- err
	}()
	c := tls.Client(b, client)
	clientErr = c.Handshake()
	if clientErr != nil {
		b.Close()
	} else {
		// In TLS 1.3 the client is done before the server has judged its certificate: a read would tell.
		// net.Pipe is synchronous, so the server's alert needs a reader.
		go func() { _, _ = c.Read(make([]byte, 1)) }()
	}
	return <-done, clientErr
}

func source(t *testing.T, ca *Authority, name Name, validity time.Duration) *Source {
	t.Helper()
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if name.Role == RoleNode {
		usages = append(usages, x509.ExtKeyUsageServerAuth)
	}
	b, err := ca.issue(name, nil, validity, usages...)
	if err != nil {
		t.Fatal(err)
	}
	c := &Credentials{
		Name:        name,
		Certificate: tls.Certificate{Certificate: [][]byte{b.Certificate.Raw}, PrivateKey: b.key, Leaf: b.Certificate},
		CAs:         b.CAs,
		pool:        x509.NewCertPool(),
	}
	c.pool.AddCert(ca.Certificate)
	return NewSource(c)
}

// Strangers are refused whichever protocol they ask for but that of joiners, and each role gets only what is its own. A
// certificate that is shown must be good, also where none is needed (D77).
func TestHandshakeTable(t *testing.T) {
	ca, foreign := newCA(t), newCA(t)
	server := source(t, ca, NodeName("alpha", 1), NodeValidity)
	node := source(t, ca, NodeName("alpha", 2), NodeValidity)
	client := source(t, ca, ClientName("alpha"), NodeValidity)
	otherCluster := source(t, ca, NodeName("beta", 2), NodeValidity)
	otherClient := source(t, ca, ClientName("beta"), NodeValidity)
	expired := source(t, ca, NodeName("alpha", 2), -time.Minute)
	stranger := source(t, foreign, NodeName("alpha", 2), NodeValidity)
	// A stranger that trusts the cluster's CA for what it dials: only the server can refuse it.
	stranger.Current().pool.AddCert(ca.Certificate)
	otherCluster.Current().Name.Cluster = "alpha" // it pretends; its certificate does not
	otherClient.Current().Name.Cluster = "alpha"
	none := func(protocol string) *tls.Config {
		c := node.DialNode(protocol, 1)
		c.Certificates = nil
		return c
	}
	alpn := func(protos ...string) *tls.Config {
		c := node.DialNode(PeerProtocol, 1)
		c.NextProtos = protos
		return c
	}
	old := node.DialNode(PeerProtocol, 1)
	old.MaxVersion, old.MinVersion = tls.VersionTLS12, tls.VersionTLS12

	rows := []struct {
		name string
		dial *tls.Config
		ok   bool
	}{
		{"node, peer protocol", node.DialNode(PeerProtocol, 1), true},
		{"node, client protocol", node.DialNode(ClientProtocol, 1), true},
		{"client, client protocol", client.DialNode(ClientProtocol, wire.NoNode), true},
		{"client, peer protocol", client.DialNode(PeerProtocol, 1), false},
		{"no certificate, peer protocol", none(PeerProtocol), false},
		{"no certificate, client protocol", none(ClientProtocol), false},
		{"foreign CA, peer protocol", stranger.DialNode(PeerProtocol, 1), false},
		{"foreign CA, client protocol", stranger.DialNode(ClientProtocol, 1), false},
		{"expired, peer protocol", expired.DialNode(PeerProtocol, 1), false},
		{"expired, client protocol", expired.DialNode(ClientProtocol, 1), false},
		{"other cluster, peer protocol", otherCluster.DialNode(PeerProtocol, 1), false},
		{"other cluster, client protocol", otherClient.DialNode(ClientProtocol, 1), false},
		{"node, join protocol", node.DialNode(JoinProtocol, 1), true},
		{"no certificate, join protocol", none(JoinProtocol), true},
		{"client, join protocol", client.DialNode(JoinProtocol, 1), false},
		{"foreign CA, join protocol", stranger.DialNode(JoinProtocol, 1), false},
		{"expired, join protocol", expired.DialNode(JoinProtocol, 1), false},
		{"other cluster, join protocol", otherCluster.DialNode(JoinProtocol, 1), false},
		{"unknown protocol", alpn("h3"), false},
		{"TLS 1.2", old, false},
		{"another node than the one dialled", node.DialNode(PeerProtocol, 3), false},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			s, c := shake(server.ServerConfig(), r.dial)
			if ok := s == nil && c == nil; ok != r.ok {
				t.Fatalf("server: %v, client: %v; want ok %v", s, c, r.ok)
			}
		})
	}
}

// A node does not believe a server that its own CA did not sign, or that has a client's certificate.
func TestDialerRefusesImpostors(t *testing.T) {
	ca, foreign := newCA(t), newCA(t)
	node := source(t, ca, NodeName("alpha", 2), NodeValidity)
	impostor := source(t, foreign, NodeName("alpha", 1), NodeValidity)
	impostor.Current().pool.AddCert(ca.Certificate)
	client := source(t, ca, ClientName("alpha"), NodeValidity)
	for name, server := range map[string]*Source{"foreign CA": impostor, "client certificate": client} {
		if _, err := shake(server.ServerConfig(), node.DialNode(PeerProtocol, 1)); err == nil {
			t.Errorf("%s: dialler accepted it", name)
		}
	}
}

// D78: during a CA rotation a bundle with both authorities accepts certificates of either.
func TestCABundleOverlap(t *testing.T) {
	oldCA, newer := newCA(t), newCA(t)
	server := source(t, oldCA, NodeName("alpha", 1), NodeValidity)
	fromOld := source(t, oldCA, NodeName("alpha", 2), NodeValidity)
	fromNew := source(t, newer, NodeName("alpha", 3), NodeValidity)
	for _, s := range []*Source{fromOld, fromNew} {
		s.Current().pool.AddCert(oldCA.Certificate)
		s.Current().pool.AddCert(newer.Certificate)
	}
	conf := server.ServerConfig() // made once, as a listener does
	if s, _ := shake(conf, fromNew.DialNode(PeerProtocol, 1)); s == nil {
		t.Fatal("the new CA was trusted before it was in the bundle")
	}
	overlap := *server.Current()
	overlap.pool = x509.NewCertPool()
	overlap.pool.AddCert(oldCA.Certificate)
	overlap.pool.AddCert(newer.Certificate)
	if err := server.Swap(&overlap); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]*Source{"old": fromOld, "new": fromNew} {
		if s, c := shake(conf, from.DialNode(PeerProtocol, 1)); s != nil || c != nil {
			t.Errorf("%s CA in the overlap: server %v, client %v", name, s, c)
		}
	}
	if err := server.Swap(fromNew.Current()); !errors.Is(err, &Error{Fault: FaultWrongNode}) {
		t.Fatalf("swap in another node's credentials: %v", err)
	}
}

// FuzzParseName: no spelling but the canonical one is accepted.
func FuzzParseName(f *testing.F) {
	f.Add("flotilla://alpha/node/1")
	f.Add("flotilla://alpha/client")
	f.Add("flotilla://alpha/node/%31")
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseName(s); err == nil && (n.Validate() != nil || n.String() == "") {
			t.Fatalf("accepted %q as %v", s, n)
		}
	})
}
