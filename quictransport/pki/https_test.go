package pki

import (
	"crypto/tls"
	"testing"
)

// N14, D78: each handshake of every listener uses the certificate and the CA bundle of its moment, HTTPS too; and none hands
// out tickets, with which a certificate would outlive its reload.
func TestHandshakesUseWhatIsCurrent(t *testing.T) {
	credentials := func(ca *Authority) *Credentials {
		t.Helper()
		b, err := ca.IssueNode("alpha", 1, nil, NodeValidity)
		if err != nil {
			t.Fatal(err)
		}
		c, err := b.Credentials()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first, second := credentials(newCA(t)), credentials(newCA(t))
	source := NewSource(first)
	listeners := map[string]*tls.Config{"QUIC": source.ServerConfig(), "HTTPS": source.HTTPConfig()}
	for round, want := range []*Credentials{first, second} {
		if err := source.Swap(want); err != nil {
			t.Fatal(err)
		}
		for name, l := range listeners {
			for _, protocol := range []string{PeerProtocol, ClientProtocol} {
				conf, err := l.GetConfigForClient(&tls.ClientHelloInfo{SupportedProtos: []string{protocol}})
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case conf.Certificates[0].Leaf != want.Certificate.Leaf:
					t.Errorf("%s, round %d: an old certificate", name, round)
				case !conf.ClientCAs.Equal(want.pool):
					t.Errorf("%s, round %d: an old CA bundle", name, round)
				case !conf.SessionTicketsDisabled || conf.MinVersion != tls.VersionTLS13:
					t.Errorf("%s: tickets or an old TLS", name)
				}
			}
		}
		if conf := source.DialNode(PeerProtocol, 2); !conf.SessionTicketsDisabled || conf.Certificates[0].Leaf != want.Certificate.Leaf {
			t.Errorf("dialling, round %d: tickets or an old certificate", round)
		}
	}
}
