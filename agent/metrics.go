package agent

import (
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/peerage/peerage/api"
)

// Metrics are the agent's. A nil *Metrics takes everything and keeps nothing.
type Metrics struct {
	rounds      *prometheus.CounterVec
	duration    prometheus.Histogram
	apply       prometheus.Histogram
	drift       *prometheus.CounterVec
	publish     *prometheus.CounterVec
	birdFailed  prometheus.Counter
	probes      *prometheus.CounterVec
	probeTook   *prometheus.HistogramVec
	pathGood    *prometheus.GaugeVec
	lastSuccess prometheus.Gauge

	mu   sync.Mutex // guards the fields below
	snap *snapshot
}

// snapshot is the state of the last round. Its metrics come and go with the
// objects that they are about.
type snapshot struct {
	believed, warm bool
	errs           map[part]bool
	pools          map[string]poolSnapshot
	peers          map[string]api.FabricState
}

type poolSnapshot struct {
	desired, applied int64
	equal, refused   bool
	vips             map[string]vipSnapshot
	servers          map[string]api.ServerCounters
}

type vipSnapshot struct {
	announced bool
	reason    gateReason
}

// NewMetrics registers the agent's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	buckets := []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}
	m := &Metrics{
		rounds: f.NewCounterVec(prometheus.CounterOpts{Name: "peerage_agent_rounds_total",
			Help: "Passes over the host, by kind (full, change, wake) and result (ok, error)."}, []string{"kind", "result"}),
		duration: f.NewHistogram(prometheus.HistogramOpts{Name: "peerage_agent_round_duration_seconds",
			Help: "How long one pass over the host took.", Buckets: buckets}),
		apply: f.NewHistogram(prometheus.HistogramOpts{Name: "peerage_agent_apply_duration_seconds",
			Help: "From the arrival of a plan until the kernel's dump was equal to it.", Buckets: buckets}),
		drift: f.NewCounterVec(prometheus.CounterOpts{Name: "peerage_agent_drift_total",
			Help: "Differences that full rounds found and repaired, by part of the host."}, []string{"part"}),
		publish: f.NewCounterVec(prometheus.CounterOpts{Name: "peerage_agent_publish_total",
			Help: "Writes of what was applied to the store, by result (ok, error)."}, []string{"result"}),
		birdFailed: f.NewCounter(prometheus.CounterOpts{Name: "peerage_agent_bird_configure_failures_total",
			Help: "Configurations that did not come into force in BIRD."}),
		probes: f.NewCounterVec(prometheus.CounterOpts{Name: "peerage_agent_probes_total",
			Help: "Probes of real servers, by result (ok, error)."}, []string{"pool", "server", "result"}),
		probeTook: f.NewHistogramVec(prometheus.HistogramOpts{Name: "peerage_agent_probe_duration_seconds",
			Help: "How long good probes took.", Buckets: buckets}, []string{"pool"}),
		pathGood: f.NewGaugeVec(prometheus.GaugeOpts{Name: "peerage_agent_path_good",
			Help: "Whether the path to a real server is judged good."}, []string{"pool", "server"}),
		lastSuccess: f.NewGauge(prometheus.GaugeOpts{Name: "peerage_agent_last_success_timestamp_seconds",
			Help: "When a pass over the host last ended without an error."}),
	}
	for _, p := range parts() {
		m.drift.WithLabelValues(string(p))
	}
	for _, result := range []string{"ok", "error"} {
		m.publish.WithLabelValues(result)
		for _, k := range []kind{roundFull, roundChange, roundWake} {
			m.rounds.WithLabelValues(string(k), result)
		}
	}
	r.MustRegister(m)
	return m
}

// BirdFailed counts a configuration that did not come into force.
func (m *Metrics) BirdFailed() {
	if m != nil {
		m.birdFailed.Inc()
	}
}

// Probed implements probe.Observer.
func (m *Metrics) Probed(pool, server string, ok bool, rtt time.Duration) {
	if m == nil {
		return
	}
	m.probes.WithLabelValues(pool, server, result(ok)).Inc()
	if ok {
		m.probeTook.WithLabelValues(pool).Observe(rtt.Seconds())
	}
}

// Judged implements probe.Observer.
func (m *Metrics) Judged(pool, server string, ok bool) {
	if m != nil {
		m.pathGood.WithLabelValues(pool, server).Set(number(ok))
	}
}

// Forgotten implements probe.Observer.
func (m *Metrics) Forgotten(pool, server string) {
	if m == nil {
		return
	}
	m.pathGood.DeleteLabelValues(pool, server)
	m.probes.DeletePartialMatch(prometheus.Labels{"pool": pool, "server": server})
}

func (m *Metrics) applied(took time.Duration) {
	if m != nil {
		m.apply.Observe(took.Seconds())
	}
}

func (m *Metrics) published(err error) {
	if m != nil {
		m.publish.WithLabelValues(result(err == nil)).Inc()
	}
}

func (m *Metrics) round(r *round, took time.Duration) {
	if m == nil {
		return
	}
	good := r.err() == nil
	m.rounds.WithLabelValues(string(r.kind), result(good)).Inc()
	m.duration.Observe(took.Seconds())
	if good {
		m.lastSuccess.SetToCurrentTime()
	}
	for p, n := range r.drifted {
		m.drift.WithLabelValues(string(p)).Add(float64(n))
	}
	m.state(r)
}

// state takes the snapshot that Collect renders.
func (m *Metrics) state(r *round) {
	if m == nil {
		return
	}
	s := &snapshot{
		believed: r.v.believed == nil, warm: r.rec.Warm,
		errs: map[part]bool{}, pools: map[string]poolSnapshot{}, peers: maps.Clone(r.speech.Peers),
	}
	for p := range r.errs {
		s.errs[p] = true
	}
	for pool, p := range r.v.plans {
		ps := poolSnapshot{
			desired: p.Generation, refused: r.v.refused[pool] != nil, equal: r.equal(p),
			vips: map[string]vipSnapshot{}, servers: r.servers(p),
		}
		if ps.equal {
			ps.applied = p.Generation
		} else if last := m.appliedBefore(pool); last != 0 {
			ps.applied = last
		}
		if next := r.state.Plans[pool]; next != nil {
			ps.desired = next.Generation
		}
		for _, vip := range p.VIPs {
			ps.vips[vip.String()] = vipSnapshot{r.announced(pool, vip).Announced, r.reasons[pool][vip]}
		}
		s.pools[pool] = ps
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.snap = s
}

func (m *Metrics) appliedBefore(pool string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.snap == nil {
		return 0
	}
	return m.snap.pools[pool].applied
}

func result(ok bool) string {
	if ok {
		return "ok"
	}
	return "error"
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
