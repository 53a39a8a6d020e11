package flotilla_test

import (
	"fmt"
	"testing"

	"flotilla"
)

// TestVersionsOfAllNodes: every node shows which version of the program each node runs, and learns of a new one when that
// node has been restarted; what is no version is refused at the start.
func TestVersionsOfAllNodes(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		release := "v1.0.0"
		c.change = func(cfg *flotilla.Config) { cfg.Version = fmt.Sprintf("%s-node%d", release, cfg.NodeID) }
		c.openAll()
		shown := func(want ...string) {
			t.Helper()
			for id, h := range c.hosts {
				eventually(t, fmt.Sprintf("node %d shows %q", id, want), func() bool {
					for i, n := range h.Status().Nodes {
						if n.Version != want[i] {
							return false
						}
					}
					return true
				})
			}
		}
		shown("v1.0.0-node1", "v1.0.0-node2", "v1.0.0-node3")
		c.close(2)
		release = "v1.1.0"
		c.open(2)
		c.await(2)
		shown("v1.0.0-node1", "v1.1.0-node2", "v1.0.0-node3")
	})
	for _, version := range []string{"v1\x1b[2J", "two words", string(make([]byte, 65)), "vé"} {
		c := flotilla.Config{Dir: t.TempDir(), Version: version, NewMachine: func(flotilla.GroupID) flotilla.StateMachine { return nil }}
		if err := c.Validate(); err == nil {
			t.Errorf("%q is taken for a version", version)
		}
	}
}
