package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"flotilla/quictransport/pki"
	"flotilla/raft/wire"

	"github.com/urfave/cli/v2"
)

func certCommand(sh *shell) *cli.Command {
	cluster := func() cli.Flag {
		return text("cluster", "", "`NAME` of the cluster the certificate is for (default: the authority's)")
	}
	ca := func() cli.Flag { return text("ca", "", "`DIR` with ca.crt and ca.key, as made by cert init") }
	out := func() cli.Flag { return text("out", "", "`DIR` to write to; made with mode 0700") }
	validity := func() cli.Flag {
		return text("validity", pki.NodeValidity.String(), "how long the certificate lives, a `DURATION`")
	}
	return &cli.Command{
		Name: "cert", Usage: "make and look at certificates; private keys are written with mode 0600",
		Subcommands: []*cli.Command{
			{
				Name: "init", Usage: "make a certificate authority: ca.crt and ca.key; keep the key off the nodes",
				Flags:  []cli.Flag{text("cluster", "flotilla", "`NAME` of the cluster that the authority is for"), out(), outputFlag()},
				Action: action(certInit(sh)),
			}, {
				Name: "node", Usage: "issue the certificate of one node: ca.crt, node.crt, node.key",
				Flags: []cli.Flag{
					ca(), text("node-id", "", "the node's `ID`"),
					text("host", "", "`HOST[,HOST]`: names and addresses of its HTTP side"), cluster(), validity(), out(), outputFlag(),
				},
				Action: action(certNode(sh)),
			}, {
				Name: "client", Usage: "issue a client's certificate: ca.crt, client.crt, client.key",
				Flags: []cli.Flag{ca(), cluster(), validity(), out(), outputFlag()}, Action: action(certClient(sh)),
			}, {
				Name: "inspect", Usage: "describe the certificates of a file", ArgsUsage: "FILE",
				Flags: []cli.Flag{outputFlag()}, Action: action(certInspect(sh)),
			},
		},
	}
}

// required reads a setting that has no default.
func (s *settings) required(name string) string {
	x := s.find(name)
	if x.value == "" {
		s.faults = append(s.faults, fmt.Errorf("--%s is missing", name))
	}
	return x.value
}

// hosts reads a list of names and addresses for a certificate; one that none could ever match is a fault.
func (s *settings) hosts(name string) []string {
	x := s.find(name)
	if s.required(name) == "" {
		return nil
	}
	list := strings.Split(x.value, ",")
	for i, h := range list {
		list[i] = strings.TrimSpace(h)
		switch {
		case list[i] == "":
			s.fault(x, "%q has an empty part", x.value)
		case net.ParseIP(list[i]) == nil && strings.ContainsAny(list[i], ":/ "):
			s.fault(x, "%q is not a host name or IP address (no port, no URL)", list[i])
		}
	}
	return list
}

// cluster reads a cluster's name.
func (s *settings) cluster() string {
	x := s.find("cluster")
	if err := pki.ValidateCluster(x.value); err != nil {
		s.fault(x, "%v", err)
	}
	return x.value
}

// authority loads the authority that --ca names, with the cluster that it signs for: its own. Faults of the settings
// read before are reported first.
func (s *settings) authority() (*pki.Authority, string, error) {
	dir, x := s.required("ca"), s.find("cluster")
	if x.value != "" {
		s.cluster()
	}
	if err := s.err(); err != nil {
		return nil, "", err
	}
	ca, err := pki.LoadCA(dir)
	if missing := (*pki.Error)(nil); errors.As(err, &missing) && missing.Fault == pki.FaultMissing {
		return nil, "", &exitError{exitAuth, "certificate", fmt.Errorf("%s: missing", missing.Path), "--ca is the directory that 'flotilla cert init' wrote: it holds ca.crt and ca.key"}
	}
	if err != nil {
		return nil, "", err
	}
	switch own := ca.Cluster(); {
	case own == "" && x.value == "":
		s.fault(x, "the authority in %s does not say which cluster it is for: name it", dir)
	case own == "":
		return ca, x.value, nil
	case x.value != "" && x.value != own:
		s.fault(x, "the authority in %s is that of cluster %s: leave the flag away, or take the authority of cluster %s", dir, own, x.value)
	}
	return ca, ca.Cluster(), s.err()
}

func certInit(sh *shell) func(context.Context, *settings) error {
	return func(_ context.Context, s *settings) error {
		dir, cluster, mode := s.required("out"), s.cluster(), s.output(sh)
		if err := s.err(); err != nil {
			return err
		}
		ca, err := pki.CreateCA(cluster)
		if err == nil {
			err = ca.WriteDir(dir)
		}
		return wrote(sh, mode, dir, err, pki.CAFile, pki.CAKeyFile)
	}
}

func certNode(sh *shell) func(context.Context, *settings) error {
	return func(_ context.Context, s *settings) error {
		dir, mode := s.required("out"), s.output(sh)
		s.required("node-id")
		id := wire.NodeID(s.number("node-id", 1, uint64(wire.MaxNodeID)))
		hosts := s.hosts("host")
		life := s.duration("validity", time.Minute, pki.CAValidity)
		ca, cluster, err := s.authority()
		if err != nil {
			return err
		}
		b, err := ca.IssueNode(cluster, id, hosts, life)
		if err == nil {
			err = b.WriteNew(dir)
		}
		return wrote(sh, mode, dir, err, pki.CAFile, pki.NodeFile, pki.NodeKeyFile)
	}
}

func certClient(sh *shell) func(context.Context, *settings) error {
	return func(_ context.Context, s *settings) error {
		dir, mode := s.required("out"), s.output(sh)
		life := s.duration("validity", time.Minute, pki.CAValidity)
		ca, cluster, err := s.authority()
		if err != nil {
			return err
		}
		b, err := ca.IssueClient(cluster, life)
		if err == nil {
			err = b.WriteNew(dir)
		}
		return wrote(sh, mode, dir, err, pki.CAFile, pki.ClientFile, pki.ClientKeyFile)
	}
}

// wrote says which files now are in dir, unless err says why not.
func wrote(sh *shell, mode, dir string, err error, files ...string) error {
	if err != nil {
		return err
	}
	if mode == "json" {
		return printJSON(sh.out, struct {
			Dir   string   `json:"dir"`
			Files []string `json:"files"`
		}{dir, files})
	}
	_, err = fmt.Fprintf(sh.out, "wrote %s to %s\n", strings.Join(files, ", "), dir)
	return err
}

func certInspect(sh *shell) func(context.Context, *settings) error {
	return func(_ context.Context, s *settings) error {
		mode := s.output(sh)
		if err := s.err(); err != nil {
			return err
		}
		if err := refuseDirectory(s.args[0]); err != nil {
			return err
		}
		infos, err := pki.Inspect(s.args[0])
		if err != nil {
			return err
		}
		for _, c := range infos {
			if mode == "json" {
				err = errors.Join(err, printJSON(sh.out, c))
				continue
			}
			t := newTable(sh.out, "field", "value")
			t.row("name", orDash(c.Name))
			t.row("subject", c.Subject)
			t.row("issuer", c.Issuer)
			t.row("authority", c.CA)
			t.row("hosts", orDash(strings.Join(c.Hosts, ", ")))
			t.row("valid", c.NotBefore.Format(time.RFC3339)+" to "+c.NotAfter.Format(time.RFC3339))
			t.row("expired", c.Expired)
			t.row("key", c.Algorithm)
			t.row("sha256", c.SHA256)
			err = errors.Join(err, t.flush())
		}
		return err
	}
}

// refuseDirectory names the certificates in a directory that was given for one.
func refuseDirectory(path string) error {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return nil // who reads it says what is wrong
	}
	var names []string
	files, err := filepath.Glob(filepath.Join(path, "*.crt"))
	for _, f := range files {
		names = append(names, filepath.Base(f))
	}
	if err != nil || names == nil {
		return usagef("name a file")("%s is a directory, without a certificate in it", path)
	}
	return usagef("name a file in it: %s", strings.Join(names, ", "))("%s is a directory", path)
}
