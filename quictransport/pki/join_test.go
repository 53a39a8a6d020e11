package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flotilla/raft/wire"
)

// The authority gives what its caller granted, whatever the request says, and only to whoever has the key.
func TestRequestsAreSigned(t *testing.T) {
	ca, err := CreateCA("alpha")
	if err != nil {
		t.Fatal(err)
	}
	q, err := NewRequest("alpha", 7, []string{"node7.example", "10.0.0.7"})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.SignNode(q.CSR, "alpha", 7)
	if err != nil {
		t.Fatal(err)
	}
	tok := memberToken(t, ca)
	dir := filepath.Join(t.TempDir(), "tls")
	if err := q.WriteDir(dir, memberToken(t, newCA(t)), cert, ca.PEM()); !errors.Is(err, &Error{Fault: FaultUnknownCA}) {
		t.Errorf("an authority that the token does not name: %v", err)
	}
	if err := q.WriteDir(dir, tok, cert, ca.PEM()); err != nil {
		t.Fatal(err)
	}
	s, err := OpenNode(dir, "alpha", 7)
	if err != nil {
		t.Fatal(err)
	}
	leaf := s.Current().Certificate.Leaf
	if len(leaf.DNSNames) != 1 || len(leaf.IPAddresses) != 1 || leaf.IsCA {
		t.Errorf("%v %v", leaf.DNSNames, leaf.IPAddresses)
	}
	if info, err := os.Stat(filepath.Join(dir, NodeKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if err := q.WriteDir(dir, tok, cert, ca.PEM()); err == nil {
		t.Error("a key was overwritten")
	}
	// For another id than asked for, for another key, of another authority: not what this node wants.
	other, _ := CreateCA("alpha")
	q2, _ := NewRequest("alpha", 7, nil)
	as8, err := ca.SignNode(q.CSR, "alpha", 8)
	if err != nil {
		t.Fatal(err)
	}
	forged, _ := other.SignNode(q.CSR, "alpha", 7)
	notMine, _ := ca.SignNode(q2.CSR, "alpha", 7)
	for name, c := range map[string][]byte{"another id": as8, "another authority": forged, "another key": notMine, "two": append(cert, cert...), "nothing": nil} {
		if err := q.WriteDir(filepath.Join(t.TempDir(), "tls"), tok, c, ca.PEM()); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	broken := append([]byte(nil), q.CSR...)
	broken[len(broken)-1] ^= 1 // the proof that the key is held
	wild := rawRequest(t, q.key, x509.CertificateRequest{DNSNames: []string{"*.example"}})
	many := rawRequest(t, q.key, x509.CertificateRequest{DNSNames: strings.Split(strings.Repeat("h,", maxHosts)+"h", ",")})
	for name, csr := range map[string][]byte{"a broken proof": broken, "a wildcard": wild, "many hosts": many, "nothing": nil} {
		if _, err := ca.SignNode(csr, "alpha", 7); err == nil {
			t.Errorf("%s was signed", name)
		}
	}
	if _, err := ca.SignNode(q.CSR, "alpha", wire.NoNode); err == nil {
		t.Error("node 0 was signed")
	}
}

// A token has one spelling.
func TestJoinTokenText(t *testing.T) {
	ca, err := CreateCA("alpha")
	if err != nil {
		t.Fatal(err)
	}
	tok := memberToken(t, ca)
	again, err := ParseJoinToken(" " + tok.Text() + "\n")
	if err != nil || again.Hash() != tok.Hash() || again.authority != tok.authority {
		t.Fatalf("%v", err)
	}
	text := tok.Text()
	for i := range text {
		if got, err := ParseJoinToken(text[:i]); err == nil {
			t.Fatalf("%d characters are a token: %v", i, got)
		}
	}
	for _, bad := range []string{text + "0", strings.ToUpper(text), strings.Replace(text, "-1.", "-2.", 1), text + "." + text} {
		if _, err := ParseJoinToken(bad); err == nil {
			t.Errorf("%q is a token", bad)
		}
	}
}

// memberToken is a token of a member that ca has certified.
func memberToken(t testing.TB, ca *Authority) *JoinToken {
	t.Helper()
	b, err := ca.IssueNode("alpha", 1, nil, NodeValidity)
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Credentials()
	if err != nil {
		t.Fatal(err)
	}
	tok, err := NewJoinToken(c)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// What would be refused once the token is spent is refused before anybody is asked.
func TestRequestRefusesHostsEarly(t *testing.T) {
	for _, hosts := range [][]string{{"node:7"}, {"fe80::1%eth0"}, {"*.example"}, {""}, {"ok", "not ok"}, strings.Split(strings.Repeat("h,", maxHosts)+"h", ",")} {
		if q, err := NewRequest("alpha", 7, hosts); err == nil {
			t.Errorf("%q was taken: %v", hosts, q.Name)
		}
	}
	if _, err := NewRequest("alpha", 7, []string{"::1", "10.0.0.7", "Node-7.example", "node_7"}); err != nil {
		t.Error(err)
	}
}

// rawRequest is a request as somebody else's program makes it.
func rawRequest(t testing.TB, key crypto.Signer, tmpl x509.CertificateRequest) []byte {
	t.Helper()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &tmpl, key)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

// A request that claims to be an authority, a client and another node gets what its caller granted and nothing else.
func TestRequestsGrantNothing(t *testing.T) {
	ca := newCA(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr := rawRequest(t, key, x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "flotilla://alpha/node/1"}, DNSNames: []string{"seven"}, EmailAddresses: []string{"root@example"},
		URIs:            []*url.URL{NodeName("alpha", 1).uri(), ClientName("beta").uri()},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}},
	})
	text, err := ca.SignNode(csr, "alpha", 7)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := oneCertificate(text)
	if err != nil {
		t.Fatal(err)
	}
	name, err := NameOf(leaf)
	if err != nil || name != NodeName("alpha", 7) || leaf.Subject.CommonName != name.String() || leaf.IsCA || len(leaf.URIs) != 1 || len(leaf.EmailAddresses) != 0 {
		t.Errorf("%v %v: %+v, authority %v, %v %v", name, err, leaf.Subject, leaf.IsCA, leaf.URIs, leaf.EmailAddresses)
	}
	if left := time.Until(leaf.NotAfter); left > NodeValidity || left < NodeValidity-time.Hour {
		t.Errorf("good for %v", left)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"P-384": other, "RSA": weak} {
		if _, err := ca.SignNode(rawRequest(t, key, x509.CertificateRequest{}), "alpha", 7); err == nil {
			t.Errorf("%s was signed", name)
		}
	}
}

// D77: whoever shows no certificate speaks the join protocol or none, whatever else it offers and in whichever order.
func TestNoCertificateNoOtherProtocol(t *testing.T) {
	ca := newCA(t)
	server := source(t, ca, NodeName("alpha", 1), NodeValidity)
	all := []string{PeerProtocol, ClientProtocol, JoinProtocol, "h3", "http/1.1"}
	for _, a := range all {
		for _, b := range all {
			for _, c := range all {
				conf := source(t, ca, NodeName("alpha", 2), NodeValidity).DialNode(JoinProtocol, 1)
				conf.NextProtos, conf.Certificates = []string{a, b, c}, nil
				var spoken string
				verify := conf.VerifyConnection
				conf.VerifyConnection = func(cs tls.ConnectionState) error {
					spoken = cs.NegotiatedProtocol
					return verify(cs)
				}
				if s, _ := shake(server.ServerConfig(), conf); s == nil && spoken != JoinProtocol {
					t.Errorf("%v: speaks %q", conf.NextProtos, spoken)
				}
			}
		}
	}
}

// FuzzParseJoinToken: a token has one spelling, but for the space around it.
func FuzzParseJoinToken(f *testing.F) {
	text := memberToken(f, newCA(f)).Text()
	f.Add(text)
	f.Add(text + ".")
	f.Add(strings.Replace(text, "-1.", "-1.=", 1))
	f.Fuzz(func(t *testing.T, s string) {
		if tok, err := ParseJoinToken(s); err == nil && (tok.Text() != strings.TrimSpace(s) || len(tok.Secret()) != secretBytes) {
			t.Fatalf("%q was read as %q", s, tok.Text())
		}
	})
}

// FuzzSignNode: whatever is signed is a certificate of the node that was granted, and of nobody's authority.
func FuzzSignNode(f *testing.F) {
	ca := newCA(f)
	q, err := NewRequest("alpha", 7, []string{"seven.example", "10.0.0.7", "::1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(q.CSR)
	f.Add(q.CSR[:len(q.CSR)-1])
	f.Fuzz(func(t *testing.T, csr []byte) {
		text, err := ca.SignNode(csr, "alpha", 7)
		if err != nil {
			return
		}
		leaf, err := oneCertificate(text)
		if err != nil {
			t.Fatal(err)
		}
		if name, err := NameOf(leaf); err != nil || name != NodeName("alpha", 7) || leaf.IsCA || len(leaf.DNSNames)+len(leaf.IPAddresses) > maxHosts {
			t.Fatalf("%v %v from %x", name, err, csr)
		}
	})
}
