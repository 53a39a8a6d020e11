package pki

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	dir := filepath.Join(t.TempDir(), "tls")
	if err := q.WriteDir(dir, cert, ca.PEM()); err != nil {
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
	if err := q.WriteDir(dir, cert, ca.PEM()); err == nil {
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
		if err := q.WriteDir(filepath.Join(t.TempDir(), "tls"), c, ca.PEM()); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	broken := append([]byte(nil), q.CSR...)
	broken[len(broken)-1] ^= 1 // the proof that the key is held
	wild, _ := NewRequest("alpha", 7, []string{"*.example"})
	many, _ := NewRequest("alpha", 7, strings.Split(strings.Repeat("h,", maxHosts)+"h", ","))
	for name, csr := range map[string][]byte{"a broken proof": broken, "a wildcard": wild.CSR, "many hosts": many.CSR, "nothing": nil} {
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
