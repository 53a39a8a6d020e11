package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"time"
)

// Info is what Inspect tells about one certificate.
type Info struct {
	// Name is the flotilla URI; empty for a CA or a foreign certificate.
	Name    string `json:"name,omitempty"`
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
	CA      bool   `json:"ca"`
	// Hosts are the names and addresses the certificate is good for over HTTPS.
	Hosts     []string  `json:"hosts,omitempty"`
	Serial    string    `json:"serial"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Expired   bool      `json:"expired"`
	Algorithm string    `json:"algorithm"`
	// SHA256 is the fingerprint of the whole certificate, in hex.
	SHA256 string `json:"sha256"`
}

// Inspect describes each certificate of a PEM file. It checks nothing but the form. Errors are *Error.
func Inspect(path string) ([]Info, error) {
	certs, err := readCertificates(path)
	if err != nil {
		return nil, err
	}
	infos := make([]Info, 0, len(certs))
	for _, c := range certs {
		infos = append(infos, describe(c))
	}
	return infos, nil
}

func describe(c *x509.Certificate) Info {
	sum := sha256.Sum256(c.Raw)
	info := Info{
		Subject: c.Subject.CommonName, Issuer: c.Issuer.CommonName, CA: c.IsCA,
		Hosts: append([]string(nil), c.DNSNames...), Serial: c.SerialNumber.Text(16),
		NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), Expired: time.Now().After(c.NotAfter),
		Algorithm: c.PublicKeyAlgorithm.String(), SHA256: hex.EncodeToString(sum[:]),
	}
	if n, err := NameOf(c); err == nil {
		info.Name = n.String()
	}
	for _, ip := range c.IPAddresses {
		info.Hosts = append(info.Hosts, ip.String())
	}
	return info
}
