package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

var places = flag.Int("places", 2, "places at which TestMembersUnderKills kills somebody, of 10; 10 is the long run")

// settled says why the cluster is not yet what it is to be: every group in rest, with so many voters, among members alone.
func (c *testCluster) settled(voters int, members ...int) error {
	at := c.Running()
	if len(at) == 0 {
		return errors.New("no node runs")
	}
	st, err := c.Status(at[0])
	if err != nil {
		return err
	}
	up := map[int]bool{}
	for _, n := range st.Nodes {
		up[n.ID] = n.State == "up"
		if !slices.Contains(members, n.ID) && n.State != "removed" {
			return fmt.Errorf("node %d is %s", n.ID, n.State)
		}
	}
	for _, id := range members {
		if !up[id] {
			return fmt.Errorf("node %d is not up", id)
		}
	}
	for _, g := range st.Groups {
		if g.Moving || len(g.Voters) != voters && g.ID != 0 {
			return fmt.Errorf("group %d: voters %v, learners %v, moving %v", g.ID, g.Voters, g.Learners, g.Moving)
		}
		for _, n := range append(g.Voters, g.Learners...) {
			if !slices.Contains(members, n) {
				return fmt.Errorf("group %d is on node %d still", g.ID, n)
			}
		}
	}
	return nil
}

func (c *testCluster) awaitSettled(t *testing.T, voters int, members ...int) {
	t.Helper()
	c.eventually(t, fmt.Sprintf("%d voters each on nodes %v", voters, members), func() error { return c.settled(voters, members...) })
}

// TestMembersUnderLoad takes a cluster from one node to three, to five and back to three, while clients write and read: no
// request of theirs fails, no write waits for more than a second, what they saw is linearizable, nothing is lost.
// P14 P31 F40 F41 F42
func TestMembersUnderLoad(t *testing.T) {
	c := startOne(t, 5)
	h, ledger := NewHistory(), NewLedger()
	load, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	stores := []Store{c.dialAll(t), c.dialAll(t)}
	wg.Go(func() { ledger.Fill(load, stores, 4, "member", 0) })
	wg.Go(func() {
		runHistory(load, h, stores, 1<<40, func(ctx context.Context, s Store, key string) ([]byte, bool, error) {
			value, _, found, err := s.Get(ctx, key)
			return value, found, err
		})
	})
	step := func(what string, do func()) {
		began := time.Now()
		ledger.TakeGap()
		do()
		if gap := ledger.TakeGap(); gap > time.Second {
			t.Errorf("%s: %v without an acknowledged write", what, gap)
		} else {
			t.Logf("%s: %v, at most %v without an acknowledged write", what, time.Since(began).Round(time.Millisecond), gap.Round(time.Millisecond))
		}
	}
	step("1 to 3", func() {
		c.startNode(t, 2)
		c.startNode(t, 3)
		c.awaitSettled(t, 3, 1, 2, 3)
	})
	step("3 to 5", func() {
		c.startNode(t, 4)
		c.startNode(t, 5)
		c.awaitSettled(t, 3, 1, 2, 3, 4, 5)
	})
	step("5 to 3", func() {
		for _, id := range []int{1, 4} { // the first one, which has led the cluster into being, among them
			if _, err := c.Command("member", "remove", strconv.Itoa(id), "--wait"); err != nil {
				t.Fatal(err)
			}
			c.expectExit(t, id, 10)
		}
		c.awaitSettled(t, 3, 2, 3, 5)
	})
	c.eventually(t, "a load worth the name", func() error { // on a machine that is slow or busy it has to last longer
		acked, _, _ := ledger.Counts()
		if recorded, _, _ := h.Counts(); acked < 1000 || recorded < 1000 {
			return fmt.Errorf("%d writes acknowledged, history of %d operations", acked, recorded)
		}
		return nil
	})
	stop()
	wg.Wait()
	acked, unsure, refused := ledger.Counts()
	recorded, unknownWrites, failed := h.Counts()
	t.Logf("%d writes acknowledged, %d unknown, %d refused; history of %d operations, %d writes unknown, %d failed", acked, unsure, refused, recorded, unknownWrites, failed)
	ends := 4 + 2**workers // requests that the end of the load cut off
	if unsure+refused > ends || unknownWrites+failed > ends {
		t.Error("requests failed that no client should have seen fail")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := ledger.Verify(ctx, c.dial(t, c.Endpoints()[4])); err != nil {
		t.Fatal(err)
	}
	if got := h.Check(5 * time.Minute); got != porcupine.Ok {
		t.Fatalf("verdict %v, want Ok", got)
	}
}

// expectExit waits until node id has ended by itself with a code, within the five seconds in which it is to be told.
func (c *testCluster) expectExit(t *testing.T, id, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	began := time.Now()
	code, err := c.nodes[id-1].proc.Exit(ctx)
	if err != nil || code != want {
		t.Fatalf("node %d ended with %d, %v; want %d", id, code, err, want)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("node %d needed %v to end", id, took)
	}
	c.nodes[id-1].proc = nil
}

// TestWipedNodeRejoins: a node whose directory was deleted is started again as it always was, and is a voter again within 30 s. Under
// its old identity nobody heard it: both others refused the new directory before it joined.
// N8 D17
func TestWipedNodeRejoins(t *testing.T) {
	c := startCluster(t)
	ledger := NewLedger()
	ledger.Fill(t.Context(), c.stores(t), *workers, "before", 500)
	if err := c.Kill(3); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(c.DataDir(3)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c.startNode(t, 3)
	c.awaitSettled(t, 3, 1, 2, 3)
	t.Logf("a voter again after %v", time.Since(began).Round(time.Millisecond))
	refused := 0.0
	for _, id := range []int{1, 2} {
		n, err := c.Metric(id, "flotilla_transport_closed_total", `reason="generation"`)
		if err == nil {
			refused += n
		}
	}
	if refused == 0 {
		t.Error("nobody refused the new directory under the old identity")
	}
	if err := c.Kill(1); err != nil { // what is left decides with the node that came back
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := ledger.Verify(ctx, c.dial(t, c.Endpoints()[2])); err != nil {
		t.Fatal(err)
	}
}

// TestRemovedWhileDown: a node that was removed while it was down starts, is told, and exits with the documented code; no term rose.
// P33 D47 D48 D55
func TestRemovedWhileDown(t *testing.T) {
	c := startCluster(t)
	if err := c.Kill(3); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Command("member", "remove", "3", "--wait"); err != nil {
		t.Fatal(err)
	}
	c.eventually(t, "two nodes in rest", func() error { return c.settled(2, 1, 2) })
	terms := func() (all []uint64) {
		st, err := c.Status(1)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range st.Groups {
			all = append(all, g.Term)
		}
		return all
	}
	before := terms()
	if err := c.Start(3); err != nil {
		t.Fatal(err)
	}
	c.expectExit(t, 3, 10)
	if after := terms(); !slices.Equal(before, after) {
		t.Errorf("terms were %v, are %v", before, after)
	}
}

// TestCopiedDirectory: of two processes on copies of one directory the second is refused, and says what may be wrong.
// D57
func TestCopiedDirectory(t *testing.T) {
	c := startCluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), recovery)
	defer cancel()
	if _, err := c.Stop(ctx, 3); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(c.Dir, "copied")
	if out, err := exec.Command("cp", "-a", c.DataDir(3), copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.startNode(t, 3)
	peer, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(c.Dir, "copied.log")
	second, err := startProcess(c.bin, log, nil, "serve", "--data", copied, "--tls-dir", c.tlsDir(3), "--listen", peer, "--http", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Kill() }()
	c.eventually(t, "the copy is told", func() error {
		raw, err := os.ReadFile(log)
		if err == nil && !strings.Contains(string(raw), "was the data directory copied?") {
			err = errors.New("its log does not say so")
		}
		return err
	})
	short, cancelShort := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancelShort()
	if err := second.WaitReady(short); err == nil {
		t.Error("the copy serves")
	}
	c.awaitSettled(t, 3, 1, 2, 3)
}
