package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"flotilla/client"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

func TestMain(m *testing.M) {
	code := m.Run()
	removeBinary()
	os.Exit(code)
}

// testCluster is a three-node cluster that ends with its test; when the test fails, what the nodes said is kept.
type testCluster struct{ *Cluster }

func startCluster(t *testing.T, serveFlags ...string) *testCluster {
	t.Helper()
	if testing.Short() {
		t.Skip("real processes: left out of -short, which the race pass uses") // go test ./... runs it
	}
	dir, err := os.MkdirTemp("", "flotilla-integration-")
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := NewCluster(dir, 3, serveFlags...)
	if err != nil {
		t.Fatalf("prepare three nodes: %v", err)
	}
	c := attend(t, dir, cluster)
	c.startAll(t)
	return c
}

// startOne bootstraps a cluster of one node, which others join; n are prepared.
func startOne(t *testing.T, n int) *testCluster {
	t.Helper()
	if testing.Short() {
		t.Skip("real processes: left out of -short, which the race pass uses") // go test ./... runs it
	}
	dir, err := os.MkdirTemp("", "flotilla-integration-")
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := NewCluster(dir, n)
	if err != nil {
		t.Fatalf("prepare %d nodes: %v", n, err)
	}
	cluster.grows = true
	c := attend(t, dir, cluster)
	c.startNode(t, 1)
	return c
}

// startNode starts one node and waits until it serves.
func (c *testCluster) startNode(t *testing.T, id int) {
	t.Helper()
	if err := c.Start(id); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), recovery)
	defer cancel()
	if err := c.WaitReady(ctx, id); err != nil {
		t.Fatalf("node %d: %v", id, err)
	}
}

// attend ends the cluster with its test.
func attend(t *testing.T, dir string, cluster *Cluster) *testCluster {
	c := &testCluster{cluster}
	t.Cleanup(func() {
		if err := c.Kill(); err != nil {
			t.Errorf("end the cluster: %v", err)
		}
		if t.Failed() {
			t.Logf("data and logs are kept in %s", dir)
			return
		}
		_ = os.RemoveAll(dir)
	})
	return c
}

// startAll starts whatever does not run and waits until it serves.
func (c *testCluster) startAll(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), recovery)
	defer cancel()
	if err := c.StartAll(ctx); err != nil {
		t.Fatalf("start the cluster: %v", err)
	}
}

// eventually polls check until it returns nil, at most for as long as a cluster may take to recover.
func (c *testCluster) eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(recovery)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, recovery, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// leaderOf waits until all nodes agree on a group's leader, and returns it.
func (c *testCluster) leaderOf(t *testing.T, group uint64) int {
	t.Helper()
	var agreed int
	c.eventually(t, "all nodes agree on a leader", func() error {
		agreed = 0
		for id := 1; id <= c.Size(); id++ {
			leader, _, err := c.Leader(id, group)
			switch {
			case err != nil:
				return err
			case leader == 0, agreed != 0 && leader != agreed:
				return errors.New("no leader, or not the same")
			}
			agreed = leader
		}
		return nil
	})
	return agreed
}

// stores dials one client per node; they are closed with the test.
func (c *testCluster) stores(t *testing.T) []Store { return c.storesWithout(t, 0) }

// storesWithout is stores for all nodes but one.
func (c *testCluster) storesWithout(t *testing.T, except int) []Store {
	t.Helper()
	var list []Store
	for i, endpoint := range c.Endpoints() {
		if i+1 != except {
			list = append(list, c.dial(t, endpoint))
		}
	}
	return list
}

// dialAll returns a client that knows every address, of running nodes or not.
func (c *testCluster) dialAll(t *testing.T) Store { return c.dial(t, c.Endpoints()...) }

func (c *testCluster) dial(t *testing.T, endpoints ...string) Store {
	t.Helper()
	source, err := pki.OpenClient(c.ClientTLSDir(), "flotilla")
	if err != nil {
		t.Fatalf("client certificate: %v", err)
	}
	conf := source.DialNode(pki.ClientProtocol, wire.NoNode)
	ctx, cancel := context.WithTimeout(t.Context(), recovery)
	defer cancel()
	cl, err := client.Dial(ctx, client.Config{Endpoints: endpoints, TLS: conf})
	if err != nil {
		t.Fatalf("dial %v: %v", endpoints, err)
	}
	t.Cleanup(func() {
		if err := cl.Close(); err != nil {
			t.Errorf("close the client of %v: %v", endpoints, err)
		}
	})
	return kvStore{cl}
}

// probeKey finds a key of a group by writing.
func (c *testCluster) probeKey(t *testing.T, s Store, group uint64, prefix string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), recovery)
	defer cancel()
	for i := range 1000 {
		key := fmt.Sprintf("%s-%d", prefix, i)
		r, err := s.(kvStore).c.Put(ctx, []byte(key), nil)
		if err != nil {
			t.Fatalf("write %s: %v", key, err)
		}
		if uint64(r.Group) == group {
			return key
		}
	}
	t.Fatalf("no key of group %d found: is it routed to at all?", group)
	return ""
}

// firstWrite writes key until that is acknowledged, and returns how long it took.
func (c *testCluster) firstWrite(t *testing.T, s Store, key string) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), recovery)
	defer cancel()
	if _, err := s.Put(ctx, key, []byte("after the fault"), nil); err != nil {
		t.Fatalf("no write of %s within %v: %v", key, recovery, err)
	}
	return time.Since(began)
}

// kvStore is a client as a Store.
type kvStore struct{ c *client.Client }

func (s kvStore) Put(ctx context.Context, key string, value []byte, expect *uint64) (uint64, error) {
	var r client.Result
	var err error
	if expect == nil {
		r, err = s.c.Put(ctx, []byte(key), value)
	} else {
		r, err = s.c.PutIf(ctx, []byte(key), value, client.Revision(*expect))
	}
	if errors.Is(err, client.ErrPrecondition) {
		return 0, ErrPrecondition
	}
	return uint64(r.Revision), err
}

func (s kvStore) Get(ctx context.Context, key string) ([]byte, uint64, bool, error) {
	item, err := s.c.Get(ctx, []byte(key))
	if errors.Is(err, client.ErrNotFound) {
		return nil, 0, false, nil
	}
	return item.Value, uint64(item.Revision), err == nil, err
}

func (s kvStore) GetStale(ctx context.Context, key string) ([]byte, bool, error) {
	item, err := s.c.GetStale(ctx, []byte(key))
	if errors.Is(err, client.ErrNotFound) {
		return nil, false, nil
	}
	return item.Value, err == nil, err
}
