package flotilla_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"flotilla"
)

// TestMetadataGroupTakesNoNonsense: what the catalog cannot read never enters the log of group 0, where it would take
// the metadata group out of service on every node (F17, P4).
func TestMetadataGroupTakesNoNonsense(t *testing.T) {
	c := newCluster(t, 3)
	c.openAll()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for id, host := range c.hosts {
		if _, err := host.Group(0).Propose(ctx, []byte("nonsense")); flotilla.CodeOf(err) != flotilla.CodeBadRequest {
			t.Errorf("node %d: group 0 answered nonsense with %v, want CodeBadRequest", id, err)
		} else if !strings.Contains(err.Error(), "group 0 is the cluster's own") {
			t.Errorf("node %d: %v; it does not say whose group 0 is", id, err)
		}
		if q := host.Stats().Engine.Quarantined; q != 0 {
			t.Errorf("node %d: %d groups quarantined", id, q)
		}
	}
}
