package store

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/peerage/peerage/api"
)

// Metrics tell how well a daemon knows the store.
type Metrics struct {
	revision prometheus.Gauge
	stale    prometheus.Gauge
	held     prometheus.Gauge
	bad      prometheus.Gauge
	alarms   prometheus.Gauge
	restarts prometheus.Counter
	lists    prometheus.Counter
	cache    prometheus.Counter // errors
}

// NewMetrics registers the metrics; a nil registerer keeps them private.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		revision: f.NewGauge(prometheus.GaugeOpts{Name: "peerage_store_revision", Help: "Revision of the store that this node knows."}),
		stale: f.NewGauge(prometheus.GaugeOpts{Name: "peerage_store_stale_since_timestamp_seconds",
			Help: "When the store stopped answering; 0 while it answers."}),
		held: f.NewGauge(prometheus.GaugeOpts{Name: "peerage_store_held", Help: "1 while a restored store is not believed."}),
		bad:  f.NewGauge(prometheus.GaugeOpts{Name: "peerage_store_bad_keys", Help: "Keys whose newest value was refused."}),
		alarms: f.NewGauge(prometheus.GaugeOpts{Name: "peerage_store_alarms",
			Help: "Alarms that etcd has raised, NOSPACE and CORRUPT: it refuses writes. Controllers ask for them."}),
		restarts: f.NewCounter(prometheus.CounterOpts{Name: "peerage_store_watch_restarts_total",
			Help: "Times that the watch of the store broke."}),
		lists: f.NewCounter(prometheus.CounterOpts{Name: "peerage_store_lists_total", Help: "Complete readings of the store."}),
		cache: f.NewCounter(prometheus.CounterOpts{Name: "peerage_store_cache_errors_total",
			Help: "Failures to read or write the copy of the store on disk."}),
	}
}

func (m *Metrics) observe(st *api.State) {
	m.revision.Set(float64(st.Revision))
	m.bad.Set(float64(len(st.Bad)))
	m.stale.Set(0)
	if st.Stale != nil {
		m.stale.Set(float64(st.StaleSince.UnixMilli()) / 1e3)
	}
	m.held.Set(0)
	if st.Held != nil {
		m.held.Set(1)
	}
}
