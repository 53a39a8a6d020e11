package steward

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

func someRequests() map[string][]byte {
	a := admit{Node: 7, Generation: 1 << 60, Addr: "n:7", Version: "v1"}
	c := certify{Node: 7, Secret: []byte("secret"), CSR: []byte{1, 2, 3}}
	return map[string][]byte{"admit": a.append(nil), "certify": c.append(nil)}
}

// someView is the shared state of a small cluster.
func someView(t testing.TB) catalog.Snapshot {
	t.Helper()
	c, err := catalog.Open(t.TempDir()+"/catalog.db", catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := catalog.Birth{
		Identity: catalog.Identity{ClusterID: wire.ClusterID{1}, ClusterName: "alpha", NodeID: 1, Generation: 5},
		Settings: catalog.Settings{Groups: 1, Replication: 3},
		Topology: catalog.Topology{Version: 1, Nodes: []catalog.Node{{ID: 1, Addr: "a:1", State: catalog.NodeListed}}},
		Groups:   []catalog.Group{{ID: 0, Voters: []wire.NodeID{1}}, {ID: 1, Voters: []wire.NodeID{1}}},
		Routing:  catalog.Routing{Version: 1},
	}
	for i := range b.Routing.Shards {
		b.Routing.Shards[i] = 1
	}
	if err := c.Bootstrap(b); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return *c.View()
}

// What is said when joining reads as it was written; half of it, or more than it, does not.
func TestJoinRequestsRoundTrip(t *testing.T) {
	for name, b := range someRequests() {
		q, err := readRequest(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var again []byte
		switch q := q.(type) {
		case *admit:
			again = q.append(nil)
		case *certify:
			again = q.append(nil)
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%s: % x became % x", name, b, again)
		}
		for i := range b {
			if _, err := readRequest(b[:i]); err == nil {
				t.Errorf("%s: %d of %d bytes were read", name, i, len(b))
			}
		}
		if _, err := readRequest(append(bytes.Clone(b), 0)); err == nil {
			t.Errorf("%s: a byte too many was read", name)
		}
	}
	want := admitted{
		ClusterID: wire.ClusterID{1}, Cluster: "alpha",
		Base: Base{Index: 9, Term: 2, Members: wire.Membership{Index: 4, Voters: []wire.NodeID{1, 2}}}, View: someView(t),
	}
	want.View.Format, want.View.Born, want.View.Identity = 0, false, catalog.Identity{} // a joiner has its own
	got, err := readAdmitted(want.append(nil))
	if diff := cmp.Diff(&want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	c := certified{Certificate: []byte("a"), Authority: []byte("b")}
	back, err := readCertified(c.append(nil))
	if diff := cmp.Diff(&c, back); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// Joiners are strangers: whatever they say is refused or understood.
func FuzzReadRequest(f *testing.F) {
	for _, b := range someRequests() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		q, err := readRequest(in)
		if (q == nil) == (err == nil) && err == nil {
			t.Fatal("neither a request nor an error")
		}
	})
}

// What a member answers is a peer's word.
func FuzzReadAdmitted(f *testing.F) {
	a := admitted{ClusterID: wire.ClusterID{1}, Cluster: "alpha", Base: Base{Index: 9, Term: 2}, View: someView(f)}
	f.Add(a.append(nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		a, err := readAdmitted(in)
		if err != nil {
			return
		}
		if _, err := readAdmitted(a.append(nil)); err != nil {
			t.Fatal(err)
		}
	})
}
