package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"flotilla/raft/wire"
)

// JoinProtocol is that of nodes which ask their way into the cluster. It is the only one that may be spoken without a
// certificate: whoever shows none may ask for one.
const JoinProtocol = "flotilla-join/1"

// tokenPrefix says what the text is and in which version.
const tokenPrefix = "flotilla-join-1."

// secretBytes make a token that nobody guesses in the ten minutes that it is good for.
const secretBytes = 24

// maxHosts bounds the names in a request for a certificate.
const maxHosts = 16

// JoinToken lets a node without a certificate get one. Its secret is known to nobody else but its bearer: the cluster keeps
// the hash. It names the cluster's authority, so that the bearer knows whom to tell the secret.
type JoinToken struct {
	secret    []byte
	authority [sha256.Size]byte
}

// NewJoinToken draws a token for the cluster of c.
func NewJoinToken(c *Credentials) (*JoinToken, error) {
	issuer := c.issuer()
	if issuer == nil {
		return nil, errors.New("make join token: the authority of this node's certificate is not among those it trusts")
	}
	t := &JoinToken{secret: make([]byte, secretBytes), authority: sha256.Sum256(issuer.Raw)}
	_, _ = rand.Read(t.secret) // never fails
	return t, nil
}

// ParseJoinToken reads what Text returns, with space around it.
func ParseJoinToken(text string) (*JoinToken, error) {
	malformed := errors.New("join token: want flotilla-join-1.SECRET.AUTHORITY, as 'flotilla member token' prints it")
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), tokenPrefix)
	secret, authority, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 {
		return nil, malformed
	}
	t := &JoinToken{}
	var err error
	if t.secret, err = base64.RawURLEncoding.Strict().DecodeString(secret); err != nil || len(t.secret) != secretBytes {
		return nil, malformed
	}
	hash, err := hex.DecodeString(authority)
	if copy(t.authority[:], hash); err != nil || len(hash) != len(t.authority) || t.Text() != strings.TrimSpace(text) {
		return nil, malformed
	}
	return t, nil
}

// Text is the token as people carry it. It is a secret.
func (t *JoinToken) Text() string {
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(t.secret) + "." + hex.EncodeToString(t.authority[:])
}

// Secret is what the cluster checks.
func (t *JoinToken) Secret() []byte { return t.secret }

// Hash is what the cluster keeps.
func (t *JoinToken) Hash() [32]byte { return HashSecret(t.secret) }

// HashSecret is the hash of a token's secret. The secret is random, so no salt is needed.
func HashSecret(secret []byte) [32]byte {
	return sha256.Sum256(append([]byte("flotilla join token\x00"), secret...))
}

// Names reports whether the token names ca as the cluster's authority.
func (t *JoinToken) Names(ca *x509.Certificate) bool { return sha256.Sum256(ca.Raw) == t.authority }

// TLS is the configuration by which the bearer dials a member: the member shows the authority that the token names.
func (t *JoinToken) TLS(cluster string) *tls.Config {
	conf := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{JoinProtocol}, InsecureSkipVerify: true}
	conf.VerifyConnection = func(cs tls.ConnectionState) error {
		i := slices.IndexFunc(cs.PeerCertificates, t.Names)
		if i < 1 {
			return &Error{Fault: FaultUnknownCA, Detail: "the member does not show the authority that the join token names"}
		}
		trusted := &Credentials{pool: x509.NewCertPool(), Name: Name{Cluster: cluster}}
		trusted.pool.AddCert(cs.PeerCertificates[i])
		name, err := trusted.verify(cs, x509.ExtKeyUsageServerAuth)
		if err == nil && name.Role != RoleNode {
			err = &Error{Fault: FaultWrongRole, Detail: name.String()}
		}
		return err
	}
	return conf
}

// issuer returns the authority that signed c.
func (c *Credentials) issuer() *x509.Certificate {
	leaf := c.Certificate.Leaf
	i := slices.IndexFunc(c.CAs, func(ca *x509.Certificate) bool {
		return bytes.Equal(ca.RawSubject, leaf.RawIssuer) && leaf.CheckSignatureFrom(ca) == nil
	})
	if i < 0 {
		return nil
	}
	return c.CAs[i]
}

// joinConfig is the server's side of JoinProtocol: a certificate need not be shown, one that is must be a node's. The chain shown
// has the authority in it, for those who know no more of it than its hash.
func (s *Source) joinConfig() *tls.Config {
	c := s.Current()
	conf := s.serverConfig(JoinProtocol, RoleNode)
	if issuer := c.issuer(); issuer != nil {
		shown := c.Certificate
		shown.Certificate = append(slices.Clip(shown.Certificate), issuer.Raw)
		conf.Certificates = []tls.Certificate{shown}
	}
	conf.ClientAuth = tls.VerifyClientCertIfGiven
	must := conf.VerifyConnection
	conf.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return nil
		}
		return must(cs)
	}
	return conf
}

// Request is a key of a node and the request for its certificate.
type Request struct {
	Name Name
	// CSR is the request, DER (RFC 2986).
	CSR []byte
	key *ecdsa.PrivateKey
}

// NewRequest makes a key for a node. Hosts are as in IssueNode; what SignNode would refuse is refused here, before a token is
// spent for it.
func NewRequest(cluster string, id wire.NodeID, hosts []string) (*Request, error) {
	name := NodeName(cluster, id)
	if err := name.Validate(); err != nil {
		return nil, fmt.Errorf("request certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("request certificate for %s: %w", name, err)
	}
	tmpl := &x509.CertificateRequest{}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	if err := checkHosts(tmpl.DNSNames, tmpl.IPAddresses); err != nil {
		return nil, fmt.Errorf("request certificate for %s: %w", name, err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, tmpl, key)
	if err != nil {
		return nil, fmt.Errorf("request certificate for %s: %w", name, err)
	}
	return &Request{Name: name, CSR: der, key: key}, nil
}

// WriteDir writes key, certificate and authority (PEM, as a member answered) to a TLS directory, once they fit together and the
// authority is the one that t names: a node trusts it from then on.
func (q *Request) WriteDir(dir string, t *JoinToken, certificate, authority []byte) error {
	leaf, err := oneCertificate(certificate)
	if err != nil {
		return err
	}
	ca, err := oneCertificate(authority)
	if err != nil {
		return err
	}
	if got, err := NameOf(leaf); err != nil || got != q.Name || !q.key.PublicKey.Equal(leaf.PublicKey) || leaf.CheckSignatureFrom(ca) != nil {
		return errors.Join(fmt.Errorf("the certificate for %s that came back is not the one asked for", q.Name), err)
	}
	if !t.Names(ca) {
		return &Error{Fault: FaultUnknownCA, Detail: "the certificate that came back is signed by another authority than the join token names"}
	}
	b := Bundle{Name: q.Name, Certificate: leaf, CAs: []*x509.Certificate{ca}, key: q.key}
	return b.WriteNew(dir)
}

func oneCertificate(text []byte) (*x509.Certificate, error) {
	if len(text) > maxFile {
		return nil, errors.New("certificate too large")
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != certBlock || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("want one certificate, PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// SignNode signs the request of a node whose identity the caller has checked: what the request says of identity plays no part.
// The answer is PEM.
func (a *Authority) SignNode(csr []byte, cluster string, id wire.NodeID) ([]byte, error) {
	q, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	key, ok := q.PublicKey.(*ecdsa.PublicKey) // first: checking with a huge RSA key takes seconds
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("certificate request: want a key on curve P-256")
	}
	if err := errors.Join(q.CheckSignature(), checkHosts(q.DNSNames, q.IPAddresses)); err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	hosts := slices.Clone(q.DNSNames)
	for _, ip := range q.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	b, err := a.issueFor(NodeName(cluster, id), hosts, NodeValidity, key, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, err
	}
	return encodeCertificates(b), nil
}

// checkHosts says what is wrong with the hosts of a request.
func checkHosts(names []string, ips []net.IP) error {
	if n := len(names) + len(ips); n > maxHosts {
		return fmt.Errorf("%d hosts, %d at most", n, maxHosts)
	}
	for _, h := range names {
		if !plausibleHost(h) {
			return fmt.Errorf("host %q: want an address, or a name of letters, digits, dots, hyphens and underscores", h)
		}
	}
	return nil
}

// plausibleHost accepts names of letters, digits, dots, hyphens, and underscores, which names of containers have.
func plausibleHost(h string) bool {
	if _, err := netip.ParseAddr(h); err == nil || h == "" || len(h) > 253 {
		return false
	}
	return !strings.ContainsFunc(h, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
	})
}
