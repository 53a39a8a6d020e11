package metrics

import (
	"maps"
	"testing"

	"flotilla"
	"flotilla/snapshotstream/courier"

	"github.com/prometheus/client_golang/prometheus"
)

// TestTransfers: how many snapshots are on their way, and how much of them is left, each way.
func TestTransfers(t *testing.T) {
	got := map[string]float64{}
	transfers([]flotilla.Transfer{
		{Direction: courier.Out, Done: 3, Total: 10},
		{Direction: courier.Out, Done: 5, Total: 5},
		{Direction: courier.In}, // nothing is known of it yet
	}, func(d *prometheus.Desc, v float64, labels ...string) {
		got[map[*prometheus.Desc]string{descSnapMoving: "number", descSnapLeft: "left"}[d]+" "+labels[0]] = v
	})
	if want := (map[string]float64{"number in": 1, "left in": 0, "number out": 2, "left out": 7}); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
