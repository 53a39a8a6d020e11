package steward

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flotilla/catalog"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// onlyMeta is group 0 of one node: what is proposed is applied at once, and counted.
type onlyMeta struct {
	mu       sync.Mutex
	view     catalog.Snapshot
	proposed int
}

func (m *onlyMeta) View() *catalog.Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.view
	return &v
}

func (m *onlyMeta) ProposeMeta(_ context.Context, command []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.view.Applied + 1
	next, results, err := m.view.After(at, []catalog.Command{{Index: at, Term: 1, Data: command}})
	if err != nil {
		return nil, err
	}
	m.view, m.proposed = next, m.proposed+1
	return results[0], nil
}

func (m *onlyMeta) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.proposed
}

// member is a steward that keeps the authority's key.
func member(t *testing.T) (*Steward, *onlyMeta) {
	t.Helper()
	ca, err := pki.CreateCA("alpha")
	if err != nil {
		t.Fatal(err)
	}
	b, err := ca.IssueNode("alpha", 1, nil, pki.NodeValidity)
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Credentials()
	if err != nil {
		t.Fatal(err)
	}
	m := &onlyMeta{view: someView(t)}
	m.view.Topology.Nodes[0].Generation = 5
	return New(Config{
		Self: 1, Meta: m, TLS: pki.NewSource(c),
		Peers:         func() map[wire.NodeID]wire.Generation { return nil },
		Administrable: func() error { return nil },
		Authority:     func() (*pki.Authority, error) { return ca, nil },
	}), m
}

// certifyAs asks for a certificate of node 7 by a token's text.
func certifyAs(t *testing.T, s *Steward, text string) error {
	t.Helper()
	return certifyNode(t, s, text, 7)
}

func certifyNode(t *testing.T, s *Steward, text string, node wire.NodeID) error {
	t.Helper()
	tok, err := pki.ParseJoinToken(text)
	if err != nil {
		t.Fatal(err)
	}
	key, err := pki.NewRequest("alpha", node, []string{"seven"})
	if err != nil {
		t.Fatal(err)
	}
	q := certify{Node: node, Secret: tok.Secret(), CSR: key.CSR}
	reply, err := s.HandleJoin(t.Context(), wire.NoNode, q.append(nil))
	if err != nil {
		return err
	}
	got, err := readCertified(reply)
	if err != nil {
		t.Fatal(err)
	}
	return key.WriteDir(t.TempDir()+"/tls", tok, got.Certificate, got.Authority)
}

// A stranger without a token writes nothing to group 0's log; with one it gets one certificate, also when the token was made a
// moment ago elsewhere, and no place in the cluster.
func TestStrangersWriteNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := member(t)
		tok, err := pki.NewJoinToken(s.cfg.TLS.Current())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := certifyAs(t, s, tok.Text()); wire.CodeOf(err) != wire.CodeUnsafe || time.Since(start) > 2*tokenWait {
			t.Errorf("an unknown token, after %v: %v", time.Since(start), err)
		}
		if err := certifyNode(t, s, tok.Text(), 1); err != errNoToken {
			t.Errorf("a stranger heard of node 1: %v", err)
		}
		for _, node := range []wire.NodeID{wire.NoNode, 1, 7} {
			q := admit{Node: node, Generation: 5, Addr: "n:7", Version: "v1"}
			if _, err := s.HandleJoin(t.Context(), wire.NoNode, q.append(nil)); wire.CodeOf(err) != wire.CodeBadRequest {
				t.Errorf("a stranger joins as node %d: %v", node, err)
			}
		}
		if n := m.count(); n != 0 {
			t.Errorf("strangers had %d commands proposed", n)
		}
		late := time.AfterFunc(tokenWait/2, func() { // the log is a little behind
			put := catalog.PutToken{Hash: tok.Hash(), Expires: time.Now().Add(time.Hour).Unix(), Now: time.Now().Unix()}
			if _, err := s.propose(t.Context(), put); err != nil {
				t.Error(err)
			}
		})
		defer late.Stop()
		bad := certify{Node: 7, Secret: tok.Secret(), CSR: []byte("no request")}
		if _, err := s.HandleJoin(t.Context(), wire.NoNode, bad.append(nil)); wire.CodeOf(err) != wire.CodeBadRequest {
			t.Errorf("a request that is none: %v", err)
		}
		if err := certifyAs(t, s, tok.Text()); err != nil {
			t.Errorf("a token made just now, which a bad request has not spent: %v", err)
		}
		if err := certifyAs(t, s, tok.Text()); wire.CodeOf(err) != wire.CodeUnsafe {
			t.Errorf("a token spent: %v", err)
		}
		if n := m.count(); n != 2 {
			t.Errorf("%d commands, want one that puts the token and one that spends it", n)
		}
	})
}

// Whoever joins says where it is dialled. That is shown on terminals and in logs, so it has to be an address and nothing else.
func TestAddressesOfJoiners(t *testing.T) {
	for _, addr := range []string{
		"", "n", "n:", ":7", "n:0", "n:65536", "n:seven", "0.0.0.0:7", "[::]:7", "n\x1b[2J:7", "n\r\n:7", "n m:7", "\u202en:7", "n:7\x00",
		strings.Repeat("n", maxText) + ":7",
	} {
		s, m := member(t)
		q := admit{Node: 7, Generation: 5, Addr: addr, Version: "v1"}
		if _, err := s.HandleJoin(t.Context(), 7, q.append(nil)); wire.CodeOf(err) != wire.CodeBadRequest || m.count() != 0 {
			t.Errorf("node 7 joins at %q: %v, %d proposals", addr, err, m.count())
		}
	}
	for _, addr := range []string{"n:7", "node-1.example.org:7400", "10.0.0.7:7400", "[fe80::1%eth0]:7400"} {
		if err := dialable(addr); err != nil {
			t.Error(err)
		}
	}
}

// A cluster has MaxNodes nodes at most. One more is told so; one that is known has its place.
func TestNodesThatAClusterCanHave(t *testing.T) {
	s, m := member(t)
	for id := wire.NodeID(2); id <= MaxNodes; id++ {
		m.view.Topology.Nodes = append(m.view.Topology.Nodes, catalog.Node{ID: id, Addr: "n:7", State: catalog.NodeListed})
	}
	m.view.Topology.Nodes = append(m.view.Topology.Nodes, catalog.Node{ID: MaxNodes + 1, Addr: "n:7", State: catalog.NodeRemoved})
	add := func(id wire.NodeID) error { return s.Admin().AddNode(t.Context(), id, "n:7") }
	join := func(id wire.NodeID) error {
		return s.admit(t.Context(), &admit{Node: id, Generation: 9, Addr: "n:7", Version: "v1"})
	}
	for _, enter := range []func(wire.NodeID) error{add, join} {
		if err := enter(MaxNodes + 2); wire.CodeOf(err) != wire.CodeConflict || m.count() != 0 {
			t.Errorf("one node too many: %v, %d proposals", err, m.count())
		}
	}
	if err := join(MaxNodes); err != nil {
		t.Errorf("a node that has its place: %v", err)
	}
	m.view.Topology.Nodes[1].State = catalog.NodeRemoved
	if err := join(MaxNodes + 2); err != nil {
		t.Errorf("a node in the place of a removed one: %v", err)
	}
}

// A token is made only where the key kept is that of the authority by which joiners know the members.
func TestTokenOfTheAuthorityKept(t *testing.T) {
	s, m := member(t)
	admin := s.Admin()
	text, err := admin.JoinToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := certifyAs(t, s, text); err != nil {
		t.Errorf("a token that a member made: %v", err)
	}
	other, err := pki.CreateCA("alpha")
	if err != nil {
		t.Fatal(err)
	}
	before := m.count()
	s.cfg.Authority = func() (*pki.Authority, error) { return other, nil }
	if _, err := admin.JoinToken(t.Context()); wire.CodeOf(err) != wire.CodeBadRequest || m.count() != before {
		t.Errorf("a token for an authority that joiners will not know: %v", err)
	}
}

// A member that refuses for good does not speak for the others; all who answer do.
func TestRefusalsOfMembers(t *testing.T) {
	no := &wire.Error{Code: wire.CodeBadRequest, Detail: "no key here"}
	later := &wire.Error{Code: wire.CodeNoLeader}
	away := errors.New("timeout")
	yes := certified{Certificate: []byte("c"), Authority: []byte("a")}
	for _, row := range []struct {
		name   string
		says   map[string][]error // in turn, the last for ever; nil is yes
		want   error
		rounds int
	}{
		{"another has the key", map[string][]error{"a": {no}, "b": {nil}}, nil, 1},
		{"all refuse", map[string][]error{"a": {no}, "b": {no}}, no, 1},
		{"one refuses, one is away", map[string][]error{"a": {no}, "b": {away}}, no, 1},
		{"another one cannot yet", map[string][]error{"a": {no}, "b": {later, later, nil}}, nil, 3},
		{"nobody is there at first", map[string][]error{"a": {away, no}, "b": {away, away, nil}}, no, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := map[string]int{}
			j := Joiner{Node: 7, Cluster: "alpha", Members: []string{"a", "b"}, Ask: func(_ context.Context, addr string, _ []byte) ([]byte, error) {
				says := row.says[addr]
				err := says[min(asked[addr], len(says)-1)]
				asked[addr]++
				return yes.append(nil), err
			}}
			_, _, err := j.certify(t.Context(), []byte("secret"), nil)
			if !errors.Is(err, row.want) || slices.Max([]int{asked["a"], asked["b"]}) != row.rounds {
				t.Errorf("%s: %v after %v, want %v in %d rounds", row.name, err, asked, row.want, row.rounds)
			}
		})
	}
}
