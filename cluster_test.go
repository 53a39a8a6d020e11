package flotilla_test

import "testing"

// TestSingleNode: born by bootstrap, written, closed, opened again.
func TestSingleNode(t *testing.T) {
	c := newCluster(t, 1)
	c.openAll()
	if got := add(t, c.hosts[1], 1, 5); got != 5 {
		t.Fatalf("sum %d, want 5", got)
	}
	c.close(1)
	c.openAll()
	if got := sum(t, c.hosts[1], 1); got != 5 {
		t.Fatalf("after a restart the sum is %d, want 5", got)
	}
}

// TestProposeAnywhere: each node takes proposals for each group and answers with the result (P18).
func TestProposeAnywhere(t *testing.T) {
	c := newCluster(t, 3)
	c.openAll()
	want := uint64(0)
	for range 5 {
		for id := range c.hosts {
			want++
			add(t, c.hosts[id], 2, 1)
		}
	}
	for id := range c.hosts {
		if got := sum(t, c.hosts[id], 2); got != want {
			t.Fatalf("node %d reads %d, want %d", id, got, want)
		}
	}
}
