package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestFirstWrites: a node that has just said that it is ready, of a cluster that has just started, takes writes to every group at once: elections that are still
// under way are waited out (P18).
func TestFirstWrites(t *testing.T) {
	c := startCluster(t)
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	for id := range c.Size() {
		if err := c.Start(id + 1); err != nil {
			t.Fatal(err)
		}
	}
	web := c.nodes[1].http
	c.eventually(t, "node 2 is ready", func() error {
		resp, err := http.Get("http://" + web + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		return nil
	})
	for i := range 6 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, fmt.Sprintf("http://%s/v1/kv/first-%d", web, i), strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("write %d after ready: status %d", i, resp.StatusCode)
		}
	}
}
