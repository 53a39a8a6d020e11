package pki

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flotilla/raft/wire"
)

func newCA(t testing.TB) *Authority {
	t.Helper()
	ca, err := CreateCA("alpha")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// nodeDir writes a good directory of node 1 of cluster alpha.
func nodeDir(t *testing.T, ca *Authority) string {
	t.Helper()
	b, err := ca.IssueNode("alpha", 1, []string{"localhost", "127.0.0.1"}, NodeValidity)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "tls")
	if err := b.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWrittenDirectoryLoads(t *testing.T) {
	dir := nodeDir(t, newCA(t))
	c, err := LoadNode(dir, "alpha", 1)
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != NodeName("alpha", 1) {
		t.Fatalf("name = %v", c.Name)
	}
	for name, want := range map[string]os.FileMode{NodeKeyFile: 0o600, NodeFile: 0o644, CAFile: 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %04o, want %04o", name, got, want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("directory holds %v, %v: want 3 files and no leftovers", entries, err)
	}
}

// TestNewCertificateReplacesNothing: what is in a directory stays, keys and what it trusts; a bundle that trusts more than
// the authority that signs is left whole.
func TestNewCertificateReplacesNothing(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	dir := nodeDir(t, ca)
	bundle := append(other.PEM(), ca.PEM()...)
	if err := os.WriteFile(filepath.Join(dir, CAFile), bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, NodeKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	issue := func(a *Authority, id wire.NodeID) *Bundle {
		b, err := a.IssueNode("alpha", id, []string{"localhost"}, NodeValidity)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if err := issue(ca, 5).WriteNew(dir); err == nil || !strings.Contains(err.Error(), NodeKeyFile+": exists already") {
		t.Errorf("over another node's key: %v", err)
	}
	client, err := ca.IssueClient("alpha", NodeValidity)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.WriteNew(dir); err != nil {
		t.Errorf("a client beside the node: %v", err)
	}
	for name, want := range map[string][]byte{NodeKeyFile: key, CAFile: bundle} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != string(want) {
			t.Errorf("%s was changed: %v", name, err)
		}
	}
	if err := client.WriteNew(dir); err == nil {
		t.Error("the client's key was overwritten")
	}
	stranger := t.TempDir()
	if err := os.WriteFile(filepath.Join(stranger, CAFile), other.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := issue(ca, 1).WriteNew(stranger); err == nil || !strings.Contains(err.Error(), "another authority") {
		t.Errorf("into a directory that trusts another authority: %v", err)
	}
	if ca.Cluster() != "alpha" {
		t.Errorf("the authority is of cluster %q, want alpha", ca.Cluster())
	}
}

func TestClientDirectoryLoads(t *testing.T) {
	b, err := newCA(t).IssueClient("alpha", NodeValidity)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := b.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	for _, cluster := range []string{"alpha", ""} {
		c, err := LoadClient(dir, cluster)
		if err != nil {
			t.Fatal(err)
		}
		if c.Name != ClientName("alpha") {
			t.Fatalf("name = %v", c.Name)
		}
	}
	if _, err := LoadClient(dir, "beta"); !errors.Is(err, &Error{Fault: FaultWrongCluster}) {
		t.Fatalf("load for another cluster: %v", err)
	}
}

// Every way a directory can be wrong is told apart and says what to do next.
func TestLoadFaults(t *testing.T) {
	ca, foreign := newCA(t), newCA(t)
	write := func(dir, name string, data []byte) error {
		return os.WriteFile(filepath.Join(dir, name), data, 0o600)
	}
	rows := []struct {
		name  string
		spoil func(dir string) error
		want  Fault
	}{
		{"no key", func(d string) error { return os.Remove(filepath.Join(d, NodeKeyFile)) }, FaultMissing},
		{"no ca", func(d string) error { return os.Remove(filepath.Join(d, CAFile)) }, FaultMissing},
		{"no certificate", func(d string) error { return os.Remove(filepath.Join(d, NodeFile)) }, FaultMissing},
		{"group reads key", func(d string) error { return os.Chmod(filepath.Join(d, NodeKeyFile), 0o640) }, FaultKeyMode},
		{"others read key", func(d string) error { return os.Chmod(filepath.Join(d, NodeKeyFile), 0o604) }, FaultKeyMode},
		{"directory in place of certificate", func(d string) error {
			return errors.Join(os.Remove(filepath.Join(d, NodeFile)), os.Mkdir(filepath.Join(d, NodeFile), 0o700))
		}, FaultUnreadable},
		{"garbage certificate", func(d string) error { return write(d, NodeFile, []byte("hello")) }, FaultMalformed},
		{"garbage key", func(d string) error { return write(d, NodeKeyFile, []byte("hello")) }, FaultMalformed},
		{"garbage DER", func(d string) error {
			return write(d, NodeFile, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
		}, FaultMalformed},
		{"huge file", func(d string) error { return write(d, CAFile, make([]byte, maxFile+1)) }, FaultMalformed},
		{"foreign ca", func(d string) error { return write(d, CAFile, foreign.PEM()) }, FaultUnknownCA},
		{"key of another", func(d string) error { return reissue(foreign, d, "alpha", 1, NodeValidity, NodeKeyFile) }, FaultKeyMismatch},
		{"another node", func(d string) error { return reissue(ca, d, "alpha", 2, NodeValidity, NodeFile, NodeKeyFile) }, FaultWrongNode},
		{"another cluster", func(d string) error { return reissue(ca, d, "beta", 1, NodeValidity, NodeFile, NodeKeyFile) }, FaultWrongCluster},
		{"expired", func(d string) error { return reissue(ca, d, "alpha", 1, -time.Minute, NodeFile, NodeKeyFile) }, FaultExpired},
		{"ca in place of certificate", func(d string) error { return write(d, NodeFile, ca.PEM()) }, FaultName},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			dir := nodeDir(t, ca)
			if err := r.spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, err := LoadNode(dir, "alpha", 1)
			if !errors.Is(err, &Error{Fault: r.want}) {
				t.Fatalf("got %v, want fault %q", err, r.want)
			}
			if r.want.Next() == "" || !strings.Contains(err.Error(), r.want.Next()) {
				t.Fatalf("error without the next step: %v", err)
			}
		})
	}
}

// reissue replaces the named files of dir by those of a freshly issued bundle.
func reissue(ca *Authority, dir, cluster string, id uint64, validity time.Duration, names ...string) error {
	b, err := ca.issue(Name{Cluster: cluster, Role: RoleNode, Node: nodeID(id)}, nil, validity, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "reissue")
	if err != nil {
		return err
	}
	if err := b.WriteDir(tmp); err != nil {
		return err
	}
	for _, n := range names {
		if err := os.Rename(filepath.Join(tmp, n), filepath.Join(dir, n)); err != nil {
			return err
		}
	}
	return nil
}

func TestNotYetValid(t *testing.T) {
	var b *Bundle
	ca := newCA(t)
	b, err := ca.IssueNode("alpha", 1, nil, NodeValidity)
	if err != nil {
		t.Fatal(err)
	}
	// The bubble's clock stands at the year 2000, long before the certificate was made.
	synctest.Test(t, func(t *testing.T) {
		if _, err := b.Credentials(); !errors.Is(err, &Error{Fault: FaultNotYetValid}) {
			t.Fatalf("got %v", err)
		}
	})
}

// N14: a good new certificate takes effect, a bad one leaves the old in force.
func TestReload(t *testing.T) {
	ca := newCA(t)
	dir := nodeDir(t, ca)
	s, err := OpenNode(dir, "alpha", 1)
	if err != nil {
		t.Fatal(err)
	}
	before := s.Current()
	if err := reissue(ca, dir, "alpha", 1, NodeValidity, NodeFile); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); !errors.Is(err, &Error{Fault: FaultKeyMismatch}) {
		t.Fatalf("half a renewal: %v", err)
	}
	if s.Current() != before {
		t.Fatal("a refused reload replaced the credentials")
	}
	if err := reissue(ca, dir, "alpha", 1, NodeValidity, NodeFile, NodeKeyFile); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if s.Current() == before {
		t.Fatal("reload changed nothing")
	}
}

func TestCADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	ca := newCA(t)
	if err := ca.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	if err := ca.WriteDir(dir); !errors.Is(err, &Error{Fault: FaultExists}) {
		t.Fatalf("second write: %v", err)
	}
	again, err := LoadCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := again.IssueNode("alpha", 7, nil, NodeValidity)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Credentials(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, CAKeyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCA(dir); !errors.Is(err, &Error{Fault: FaultKeyMode}) {
		t.Fatalf("world-readable CA key: %v", err)
	}
}

func TestNames(t *testing.T) {
	good := map[string]Name{
		"flotilla://alpha/node/1":                      NodeName("alpha", 1),
		"flotilla://a.b-c.d9/node/9223372036854775807": NodeName("a.b-c.d9", 1<<63-1),
		"flotilla://alpha/client":                      ClientName("alpha"),
	}
	for uri, want := range good {
		got, err := ParseName(uri)
		if err != nil || got != want || got.String() != uri {
			t.Errorf("ParseName(%q) = %v, %v; want %v", uri, got, err, want)
		}
	}
	for _, uri := range []string{
		"", "flotilla://", "http://alpha/node/1", "flotilla://alpha/node/0", "flotilla://alpha/node/01", "flotilla://alpha/node/+1",
		"flotilla://alpha/node/9223372036854775808", "flotilla://alpha/node/", "flotilla://alpha/admin", "flotilla://Alpha/client",
		"flotilla://al pha/client", "flotilla://user@alpha/client", "flotilla://alpha/client?x", "flotilla://alpha:1/client",
		"flotilla://-a/client", "flotilla://a./client", "flotilla://a..b/client", "flotilla://" + strings.Repeat("a", 64) + "/client",
	} {
		if n, err := ParseName(uri); err == nil {
			t.Errorf("ParseName(%q) = %v, want an error", uri, n)
		}
	}
}

func TestInspect(t *testing.T) {
	dir := nodeDir(t, newCA(t))
	infos, err := Inspect(filepath.Join(dir, NodeFile))
	if err != nil || len(infos) != 1 {
		t.Fatalf("inspect: %v, %v", infos, err)
	}
	got := infos[0]
	if got.Name != "flotilla://alpha/node/1" || got.CA || got.Expired || len(got.Hosts) != 2 || len(got.SHA256) != 64 {
		t.Fatalf("inspect = %+v", got)
	}
	if _, err := Inspect(filepath.Join(dir, NodeKeyFile)); !errors.Is(err, &Error{Fault: FaultMalformed}) {
		t.Fatalf("inspect a key: %v", err)
	}
}
