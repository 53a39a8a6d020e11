package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"flotilla/raft/wire"
)

// The application protocols. Both live on one UDP port.
const (
	PeerProtocol   = "flotilla-peer/1"
	ClientProtocol = "flotilla-client/1"
)

// ServerConfig returns the configuration of a node's listener. Who asks for PeerProtocol must be a node of the
// cluster, who asks for ClientProtocol a client or a node of it, who asks for JoinProtocol a node or somebody without a
// certificate; anything else fails the handshake. Credentials are
// taken anew for each handshake.
func (s *Source) ServerConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if slices.Contains(hello.SupportedProtos, ClientProtocol) {
				return s.serverConfig(ClientProtocol, RoleClient, RoleNode), nil
			}
			if slices.Contains(hello.SupportedProtos, JoinProtocol) {
				return s.joinConfig(), nil
			}
			// A hello with neither protocol dies of this configuration with the alert made for it.
			return s.serverConfig(PeerProtocol, RoleNode), nil
		},
	}
}

func (s *Source) serverConfig(protocol string, roles ...Role) *tls.Config {
	c := s.Current()
	conf := c.baseConfig(protocol)
	conf.ClientAuth = tls.RequireAndVerifyClientCert
	conf.ClientCAs = c.pool
	conf.VerifyConnection = func(cs tls.ConnectionState) error {
		name, err := c.verify(cs, x509.ExtKeyUsageClientAuth)
		if err != nil {
			return err
		}
		if !slices.Contains(roles, name.Role) {
			return &Error{Fault: FaultWrongRole, Detail: fmt.Sprintf("%s may not speak %s", name, protocol)}
		}
		return nil
	}
	return conf
}

// DialNode returns the configuration for dialling one node on the given protocol. The node that answers must
// be the one asked for (D49, D58); NoNode accepts any node of the cluster.
func (s *Source) DialNode(protocol string, id wire.NodeID) *tls.Config {
	c := s.Current()
	conf := c.baseConfig(protocol)
	// The standard check wants a host name. Who a node is does not depend on its address, so the chain and
	// the name are checked in VerifyConnection instead, which runs on every handshake.
	conf.InsecureSkipVerify = true
	conf.VerifyConnection = func(cs tls.ConnectionState) error {
		name, err := c.verify(cs, x509.ExtKeyUsageServerAuth)
		if err != nil {
			return err
		}
		want := NodeName(c.Name.Cluster, id)
		if id == wire.NoNode {
			want.Node = name.Node
		}
		return matchName(name, want, "")
	}
	return conf
}

// HTTPConfig returns the configuration of a node's HTTPS listener. Callers need no certificate; one that is shown must be
// of this cluster. Credentials are taken anew for each handshake.
func (s *Source) HTTPConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			c := s.Current()
			conf := c.baseConfig("http/1.1")
			conf.ClientAuth, conf.ClientCAs = tls.VerifyClientCertIfGiven, c.pool
			conf.VerifyConnection = func(cs tls.ConnectionState) error {
				if len(cs.PeerCertificates) == 0 {
					return nil
				}
				_, err := c.verify(cs, x509.ExtKeyUsageClientAuth)
				return err
			}
			return conf, nil
		},
	}
}

// baseConfig is what every configuration between cluster members shares.
func (c *Credentials) baseConfig(protocol string) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protocol},
		Certificates:           []tls.Certificate{c.Certificate},
		RootCAs:                c.pool,
		SessionTicketsDisabled: true,
	}
}

// verify checks the other side's chain and cluster and returns its name.
func (c *Credentials) verify(cs tls.ConnectionState, usage x509.ExtKeyUsage) (Name, error) {
	leaf, err := c.verifyChain(cs.PeerCertificates, usage)
	if err != nil {
		return Name{}, &Error{Fault: faultOf(err), Cause: err}
	}
	name, err := NameOf(leaf)
	if err != nil {
		return Name{}, &Error{Fault: FaultName, Cause: err}
	}
	if name.Cluster != c.Name.Cluster {
		return Name{}, &Error{
			Fault:  FaultWrongCluster,
			Detail: fmt.Sprintf("the other side is %s, this is cluster %s", name, c.Name.Cluster),
		}
	}
	return name, nil
}

func (c *Credentials) verifyChain(chain []*x509.Certificate, usage x509.ExtKeyUsage) (*x509.Certificate, error) {
	if len(chain) == 0 {
		return nil, errors.New("no certificate shown")
	}
	opts := x509.VerifyOptions{
		Roots:         c.pool,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   time.Now(),
		KeyUsages:     []x509.ExtKeyUsage{usage},
	}
	for _, i := range chain[1:] {
		opts.Intermediates.AddCert(i)
	}
	if _, err := chain[0].Verify(opts); err != nil {
		return nil, err
	}
	return chain[0], nil
}

func faultOf(err error) Fault {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		switch invalid.Reason {
		case x509.Expired:
			return FaultExpired
		case x509.IncompatibleUsage:
			return FaultWrongRole
		}
	}
	return FaultUnknownCA
}

// PeerName returns who the other side of an established connection is.
func PeerName(cs tls.ConnectionState) (Name, error) {
	if len(cs.PeerCertificates) == 0 {
		return Name{}, &Error{Fault: FaultName, Detail: "no certificate shown"}
	}
	return NameOf(cs.PeerCertificates[0])
}
