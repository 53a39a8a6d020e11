package metrics_test

import (
	"context"
	"testing"
	"time"

	"flotilla"
	"flotilla/quictransport/pki"
	"flotilla/server/metrics"

	"github.com/prometheus/client_golang/prometheus"
)

// null is a state machine that forgets.
type null struct{}

func (null) Apply(batch []flotilla.Command) ([][]byte, error) { return make([][]byte, len(batch)), nil }
func (null) Query([]byte) ([]byte, error)                     { return nil, nil }

// TestNamesScriptsRelyOn: the metrics of docs/INTERFACES.md exist, count, and none has a label per group (P17).
func TestNamesScriptsRelyOn(t *testing.T) {
	host := openNode(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 10 {
		if _, err := host.Group(1).Propose(ctx, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := host.Group(9).Propose(ctx, nil); err == nil {
		t.Fatal("a group that is not there took a command")
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(metrics.New(host))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			key := f.GetName()
			for _, l := range m.Label {
				if l.GetName() == "group" {
					t.Errorf("%s has a label per group", key)
				}
				key += "," + l.GetName() + "=" + l.GetValue()
			}
			got[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, least := range map[string]float64{
		"flotilla_up": 1, "flotilla_epoch": 1, "flotilla_fence_refused_frames_total": 0, "flotilla_turns_total": 10,
		"flotilla_turn_seconds": 10, "flotilla_log_fdatasyncs_total": 20, "flotilla_proposals_total,outcome=applied": 10,
		"flotilla_proposals_total,outcome=not_applied": 1, "flotilla_proposals_total,outcome=unknown": 0,
		"flotilla_snapshot_sent_bytes_total": 0, "flotilla_snapshot_installed_total": 0, "flotilla_leader_groups": 3,
		"flotilla_snapshot_transfers,direction=in": 0, "flotilla_snapshot_transfers_left_bytes,direction=out": 0,
		"flotilla_transport_frames_total,direction=out,lane=control": 0, "flotilla_transport_frames_total,direction=in,lane=append": 0,
		"flotilla_quarantined_groups": 0, "flotilla_pending_groups": 0, "flotilla_certificate_expiry_seconds": float64(time.Now().Unix()),
	} {
		if value, found := got[name]; !found || value < least {
			t.Errorf("%s is %v (found %v), want %v at least", name, value, found, least)
		}
	}
}

func openNode(t *testing.T) *flotilla.Host {
	t.Helper()
	ca, err := pki.CreateCA("test")
	fatal(t, err)
	bundle, err := ca.IssueNode("test", 1, nil, time.Hour)
	fatal(t, err)
	credentials, err := bundle.Credentials()
	fatal(t, err)
	host, err := flotilla.Open(t.Context(), flotilla.Config{
		Dir: t.TempDir(), NodeID: 1, Cluster: "test", Bootstrap: true, Groups: 2, Listen: "127.0.0.1:0", TLS: pki.NewSource(credentials),
		NewMachine: func(flotilla.GroupID) flotilla.StateMachine { return null{} },
	})
	fatal(t, err)
	t.Cleanup(func() { fatal(t, host.Close(context.Background())) })
	<-host.Ready()
	return host
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
