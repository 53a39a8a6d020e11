package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"flotilla/raft/wire"
)

// Authority is a certificate authority with its private key. It is kept off the nodes.
type Authority struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// CreateCA makes a new authority. The cluster's name is for humans to tell authorities apart; it does not
// limit what the authority may sign.
func CreateCA(cluster string) (*Authority, error) {
	if err := ValidateCluster(cluster); err != nil {
		return nil, fmt.Errorf("create CA: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("create CA key: %w", err)
	}
	tmpl, err := template(caPrefix+cluster, CAValidity)
	if err != nil {
		return nil, err
	}
	tmpl.IsCA = true
	tmpl.BasicConstraintsValid = true
	tmpl.MaxPathLenZero = true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	cert, err := sign(tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("create CA certificate: %w", err)
	}
	return &Authority{Certificate: cert, key: key}, nil
}

// LoadCA reads ca.crt and ca.key from dir. The key must be readable by its owner only.
func LoadCA(dir string) (*Authority, error) {
	certs, err := readCertificates(filepath.Join(dir, CAFile))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, CAKeyFile)
	key, err := readKey(path)
	if err != nil {
		return nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, &Error{Fault: FaultMalformed, Path: path, Detail: "not an ECDSA key"}
	}
	// A bundle may hold older authorities too; the one that belongs to the key signs.
	for _, c := range certs {
		if ec.PublicKey.Equal(c.PublicKey) {
			if err := checkTime(c, filepath.Join(dir, CAFile)); err != nil {
				return nil, err
			}
			return &Authority{Certificate: c, key: ec}, nil
		}
	}
	return nil, &Error{Fault: FaultKeyMismatch, Path: path}
}

// WriteDir writes ca.crt and ca.key (mode 0600) to dir, making dir with mode 0700. It never overwrites an authority.
func (a *Authority) WriteDir(dir string) error {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return fmt.Errorf("encode CA key: %w", err)
	}
	if err := refuseExisting(filepath.Join(dir, CAKeyFile), filepath.Join(dir, CAFile)); err != nil {
		return err
	}
	return writeFiles(dir,
		file{CAKeyFile, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), 0o600},
		file{CAFile, a.PEM(), 0o644})
}

// caPrefix comes before the cluster's name in the common name of an authority made here.
const caPrefix = "flotilla CA "

// Cluster returns the name of the cluster that the authority was made for, or "" for one that was made elsewhere.
func (a *Authority) Cluster() string {
	name, ok := strings.CutPrefix(a.Certificate.Subject.CommonName, caPrefix)
	if !ok || ValidateCluster(name) != nil {
		return ""
	}
	return name
}

// PEM returns the authority's certificate.
func (a *Authority) PEM() []byte { return encodeCertificates(a.Certificate) }

// IssueNode makes the certificate and key of one node. Hosts are names and addresses under which its HTTP
// side is reached; they play no part between nodes.
func (a *Authority) IssueNode(cluster string, id wire.NodeID, hosts []string, validity time.Duration) (*Bundle, error) {
	return a.issue(NodeName(cluster, id), hosts, validity, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
}

// IssueClient makes the certificate and key of a client.
func (a *Authority) IssueClient(cluster string, validity time.Duration) (*Bundle, error) {
	return a.issue(ClientName(cluster), nil, validity, x509.ExtKeyUsageClientAuth)
}

func (a *Authority) issue(name Name, hosts []string, validity time.Duration, usages ...x509.ExtKeyUsage) (*Bundle, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("issue key for %s: %w", name, err)
	}
	cert, err := a.issueFor(name, hosts, validity, &key.PublicKey, usages...)
	if err != nil {
		return nil, err
	}
	return &Bundle{Name: name, Certificate: cert, CAs: []*x509.Certificate{a.Certificate}, key: key}, nil
}

// issueFor makes the certificate of whoever has the key that belongs to public.
func (a *Authority) issueFor(name Name, hosts []string, validity time.Duration, public *ecdsa.PublicKey, usages ...x509.ExtKeyUsage) (*x509.Certificate, error) {
	if err := name.Validate(); err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	tmpl, err := template(name.String(), validity)
	if err != nil {
		return nil, err
	}
	tmpl.URIs = []*url.URL{name.uri()}
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.ExtKeyUsage = usages
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	if tmpl.NotAfter.After(a.Certificate.NotAfter) {
		tmpl.NotAfter = a.Certificate.NotAfter
	}
	cert, err := sign(tmpl, a.Certificate, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("issue certificate for %s: %w", name, err)
	}
	return cert, nil
}

// template returns a certificate with a fresh serial number and the given common name.
func template(common string, validity time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: common},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(validity),
	}, nil
}

func sign(tmpl, parent *x509.Certificate, pub *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
