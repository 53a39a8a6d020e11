package pki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"flotilla/raft/wire"
)

// Credentials is one checked set of certificate, key and CA bundle. Immutable.
type Credentials struct {
	// Name is who these credentials make their holder.
	Name Name
	// Certificate is what is shown to others.
	Certificate tls.Certificate
	// CAs are the authorities others must be signed by.
	CAs  []*x509.Certificate
	pool *x509.CertPool
}

// Expires returns when the certificate does.
func (c *Credentials) Expires() time.Time { return c.Certificate.Leaf.NotAfter }

// LoadNode reads and checks ca.crt, node.crt and node.key of dir for one node. Errors are *Error.
func LoadNode(dir, cluster string, id wire.NodeID) (*Credentials, error) {
	return load(dir, NodeName(cluster, id))
}

// LoadClient reads and checks ca.crt, client.crt and client.key of dir. An empty cluster accepts the
// certificate's own. Errors are *Error.
func LoadClient(dir, cluster string) (*Credentials, error) { return load(dir, ClientName(cluster)) }

// origin says which files a set of credentials came from, for errors.
type origin struct{ cert, key, ca string }

func load(dir string, want Name) (*Credentials, error) {
	certFile, keyFile := fileNames(want.Role)
	o := origin{
		cert: filepath.Join(dir, certFile),
		key:  filepath.Join(dir, keyFile),
		ca:   filepath.Join(dir, CAFile),
	}
	cas, err := readCertificates(o.ca)
	if err != nil {
		return nil, err
	}
	chain, err := readCertificates(o.cert)
	if err != nil {
		return nil, err
	}
	key, err := readKey(o.key)
	if err != nil {
		return nil, err
	}
	cert := tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return newCredentials(want, cert, cas, o)
}

// newCredentials checks everything that can be wrong with a set, most telling fault first.
func newCredentials(want Name, cert tls.Certificate, cas []*x509.Certificate, o origin) (*Credentials, error) {
	leaf := cert.Leaf
	name, err := NameOf(leaf)
	if err != nil {
		return nil, &Error{Fault: FaultName, Path: o.cert, Cause: err}
	}
	if want.Role == RoleClient && want.Cluster == "" {
		want.Cluster = name.Cluster
	}
	if err := matchName(name, want, o.cert); err != nil {
		return nil, err
	}
	if err := checkTime(leaf, o.cert); err != nil {
		return nil, err
	}
	signer, ok := cert.PrivateKey.(crypto.Signer)
	pub, comparable := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !comparable || !pub.Equal(signer.Public()) {
		return nil, &Error{Fault: FaultKeyMismatch, Path: o.key}
	}
	c := &Credentials{Name: name, Certificate: cert, CAs: cas, pool: x509.NewCertPool()}
	for _, ca := range cas {
		c.pool.AddCert(ca)
	}
	usage := x509.ExtKeyUsageClientAuth // both kinds have it
	if _, err := c.verifyChain([]*x509.Certificate{leaf}, usage); err != nil {
		return nil, &Error{Fault: FaultUnknownCA, Path: o.cert, Cause: err}
	}
	return c, nil
}

// matchName compares what a certificate says with what is needed.
func matchName(got, want Name, path string) error {
	detail := fmt.Sprintf("it names %s, wanted %s", got, want)
	switch {
	case got.Cluster != want.Cluster:
		return &Error{Fault: FaultWrongCluster, Path: path, Detail: detail}
	case got.Role != want.Role:
		return &Error{Fault: FaultWrongRole, Path: path, Detail: detail}
	case got.Node != want.Node:
		return &Error{Fault: FaultWrongNode, Path: path, Detail: detail}
	}
	return nil
}

func checkTime(c *x509.Certificate, path string) error {
	now := time.Now()
	if now.After(c.NotAfter) {
		return &Error{Fault: FaultExpired, Path: path, Detail: "on " + c.NotAfter.UTC().Format(time.RFC3339)}
	}
	if now.Before(c.NotBefore) {
		return &Error{Fault: FaultNotYetValid, Path: path, Detail: "before " + c.NotBefore.UTC().Format(time.RFC3339)}
	}
	return nil
}

func readCertificates(path string) ([]*x509.Certificate, error) {
	data, err := readFile(path, anyMode)
	if err != nil {
		return nil, err
	}
	certs, err := parseCertificates(data)
	if err != nil {
		return nil, &Error{Fault: FaultMalformed, Path: path, Cause: err}
	}
	return certs, nil
}

// parseCertificates returns the certificates of a PEM file; at least one, or an error.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != certBlock {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in PEM form found")
	}
	return certs, nil
}

func readKey(path string) (crypto.PrivateKey, error) {
	data, err := readFile(path, ownerMode)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, &Error{Fault: FaultMalformed, Path: path, Detail: "no PEM block"}
	}
	// No cause in these errors: a parser's text may quote the secret.
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	return nil, &Error{Fault: FaultMalformed, Path: path, Detail: "neither a PKCS #8 nor an EC private key"}
}

// The permission bits a file may have: certificates are public, keys are their owner's alone.
const (
	anyMode   fs.FileMode = 0o777
	ownerMode fs.FileMode = 0o700
)

// readFile reads a bounded file whose permission bits lie within mode.
func readFile(path string, mode fs.FileMode) (data []byte, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{Fault: FaultMissing, Path: path}
	}
	if err != nil {
		return nil, &Error{Fault: FaultUnreadable, Path: path, Cause: err}
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat() // of the open file: a swap in between is not missed
	if err != nil {
		return nil, &Error{Fault: FaultUnreadable, Path: path, Cause: err}
	}
	if perm := info.Mode().Perm(); perm&^mode != 0 {
		return nil, &Error{Fault: FaultKeyMode, Path: path, Detail: fmt.Sprintf("mode %04o", perm)}
	}
	data, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, &Error{Fault: FaultUnreadable, Path: path, Cause: err}
	}
	if len(data) > maxFile {
		return nil, &Error{Fault: FaultMalformed, Path: path, Detail: fmt.Sprintf("larger than %d bytes", maxFile)}
	}
	return data, nil
}
