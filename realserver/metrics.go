package realserver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics are the agent's numbers.
type Metrics struct {
	rounds      *prometheus.CounterVec
	drift       prometheus.Counter
	lastSuccess prometheus.Gauge
	health      *prometheus.GaugeVec
	count       *prometheus.GaugeVec
}

// NewMetrics registers the metrics; a nil registerer keeps them private.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		rounds: f.NewCounterVec(prometheus.CounterOpts{Name: "peerage_realserver_rounds_total",
			Help: "Passes over the host, by result (ok, error)."}, []string{"result"}),
		drift: f.NewCounter(prometheus.CounterOpts{Name: "peerage_realserver_drift_total",
			Help: "Kernel parameters that somebody else had changed and that were repaired."}),
		lastSuccess: f.NewGauge(prometheus.GaugeOpts{Name: "peerage_realserver_last_success_timestamp_seconds",
			Help: "When a pass over the host last ended without an error."}),
		health: f.NewGaugeVec(prometheus.GaugeOpts{Name: "peerage_realserver_speaker_healthy",
			Help: "1 while the speaker accepts sessions on every VIP of the pool."}, []string{"pool"}),
		count: f.NewGaugeVec(prometheus.GaugeOpts{Name: "peerage_realserver_sessions",
			Help: "Customers' sessions of the pool, by state (established, other)."}, []string{"pool", "state"}),
	}
}

func (m *Metrics) round(err error, drifted int) {
	m.drift.Add(float64(drifted))
	if err != nil {
		m.rounds.WithLabelValues("error").Inc()
		return
	}
	m.rounds.WithLabelValues("ok").Inc()
	m.lastSuccess.Set(float64(time.Now().UnixMilli()) / 1e3)
}

func (m *Metrics) healthy(pool string, ok bool) {
	v := 0.0
	if ok {
		v = 1
	}
	m.health.WithLabelValues(pool).Set(v)
}

func (m *Metrics) sessions(pool string, c SessionCount) {
	m.count.WithLabelValues(pool, "established").Set(float64(c.Established))
	m.count.WithLabelValues(pool, "other").Set(float64(c.Sessions - c.Established))
}

func (m *Metrics) forget(pool string) {
	m.health.DeleteLabelValues(pool)
	m.count.DeletePartialMatch(prometheus.Labels{"pool": pool})
}
