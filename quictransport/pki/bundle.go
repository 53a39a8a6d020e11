package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// The names of the files in a TLS directory and in a CA directory.
const (
	CAFile        = "ca.crt"
	CAKeyFile     = "ca.key"
	NodeFile      = "node.crt"
	NodeKeyFile   = "node.key"
	ClientFile    = "client.crt"
	ClientKeyFile = "client.key"
)

const (
	certBlock = "CERTIFICATE"
	keyBlock  = "PRIVATE KEY"
)

// Bundle is a freshly issued certificate with its key and the authorities to trust.
type Bundle struct {
	Name        Name
	Certificate *x509.Certificate
	CAs         []*x509.Certificate
	key         *ecdsa.PrivateKey
}

// WriteDir writes ca.crt, NAME.crt and NAME.key (NAME is node or client; keys with mode 0600) to dir, making dir with
// mode 0700. Each file is replaced whole; the key goes first, so a reader sees a mismatch at worst, which Reload
// refuses and a second Reload heals.
func (b *Bundle) WriteDir(dir string) error {
	return b.write(dir, file{CAFile, encodeCertificates(b.CAs...), 0o644})
}

// WriteNew is WriteDir into a directory that holds no such certificate yet: a key is never overwritten. A ca.crt that is
// there must hold the authority that signed, and stays as it is: what a node trusts does not change by the way.
func (b *Bundle) WriteNew(dir string) error {
	certFile, keyFile := fileNames(b.Name.Role)
	if err := refuseExisting(filepath.Join(dir, keyFile), filepath.Join(dir, certFile)); err != nil {
		return err
	}
	path := filepath.Join(dir, CAFile)
	switch trusted, err := readCertificates(path); {
	case errors.Is(err, &Error{Fault: FaultMissing}):
		return b.WriteDir(dir)
	case err != nil:
		return err
	case !slices.ContainsFunc(trusted, b.CAs[0].Equal):
		return &Error{Fault: FaultExists, Path: path, Detail: "another authority than the one that signs"}
	}
	return b.write(dir)
}

// write writes key and certificate, then more.
func (b *Bundle) write(dir string, more ...file) error {
	der, err := x509.MarshalPKCS8PrivateKey(b.key)
	if err != nil {
		return fmt.Errorf("encode key of %s: %w", b.Name, err)
	}
	certFile, keyFile := fileNames(b.Name.Role)
	return writeFiles(dir, append([]file{
		{keyFile, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), 0o600},
		{certFile, encodeCertificates(b.Certificate), 0o644},
	}, more...)...)
}

// Credentials returns the bundle as it would be after WriteDir and Load, without touching a disk.
func (b *Bundle) Credentials() (*Credentials, error) {
	return newCredentials(b.Name, tls.Certificate{
		Certificate: [][]byte{b.Certificate.Raw},
		PrivateKey:  b.key,
		Leaf:        b.Certificate,
	}, b.CAs, origin{})
}

func fileNames(r Role) (cert, key string) {
	if r == RoleNode {
		return NodeFile, NodeKeyFile
	}
	return ClientFile, ClientKeyFile
}

func encodeCertificates(certs ...*x509.Certificate) []byte {
	var buf bytes.Buffer
	for _, c := range certs {
		buf.Write(pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: c.Raw}))
	}
	return buf.Bytes()
}

type file struct {
	name string
	data []byte
	mode os.FileMode
}

// writeFiles writes each file under a temporary name and renames it, then syncs the directory.
func writeFiles(dir string, files ...file) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make TLS directory: %w", err)
	}
	for _, f := range files {
		if err := replaceFile(dir, f); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Join(dir, f.name), err)
		}
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync TLS directory: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

func replaceFile(dir string, f file) error {
	tmp, err := os.CreateTemp(dir, f.name+".tmp*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(f.data)
	err = errors.Join(err, tmp.Chmod(f.mode), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, f.name))
	}
	if err != nil {
		err = errors.Join(err, os.Remove(tmp.Name()))
	}
	return err
}

func refuseExisting(paths ...string) error {
	for _, p := range paths {
		switch _, err := os.Lstat(p); {
		case err == nil:
			return &Error{Fault: FaultExists, Path: p}
		case !errors.Is(err, os.ErrNotExist):
			return err
		}
	}
	return nil
}
