package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// metrics count what clients do.
type metrics struct {
	conns    prometheus.Gauge
	requests *prometheus.CounterVec
	ok       prometheus.Counter
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		conns: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "flotilla_client_connections", Help: "Native client connections.",
		}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flotilla_client_requests_total", Help: "Client requests by outcome: ok, or the code of the error.",
		}, []string{"outcome"}),
	}
	m.ok = m.requests.WithLabelValues("ok")
	if r != nil {
		r.MustRegister(m.conns, m.requests)
	}
	return m
}

// request counts one request; e is nil if it was answered.
func (m *metrics) request(e *wire.Error) {
	if e == nil {
		m.ok.Inc()
		return
	}
	m.requests.WithLabelValues(protocol.ProblemOf(e).Code).Inc()
}
