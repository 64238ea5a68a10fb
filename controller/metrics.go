package controller

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/controller/plan"
)

// The states of a controller.
const (
	stateFollowing = "following"
	stateLeading   = "leading"
	stateHolding   = "holding" // leads, and does not believe the store
)

// Metrics are the controller's own numbers.
type Metrics struct {
	state       *prometheus.GaugeVec
	compute     prometheus.Histogram
	writes      prometheus.Counter
	writeErrors prometheus.Counter
	eventsLost  prometheus.Counter
}

// NewMetrics makes the metrics and registers them, with those of the site,
// which are read from state when they are asked for: every replica
// shows the same, whoever leads.
func NewMetrics(reg prometheus.Registerer, state func() *api.State) *Metrics {
	m := newMetrics()
	reg.MustRegister(m.state, m.compute, m.writes, m.writeErrors, m.eventsLost, newSiteCollector(state))
	return m
}

func newMetrics() *Metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "peerage", Subsystem: "controller", Name: name, Help: help}
	}
	m := &Metrics{
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("state",
			"1 for what this controller is: following, leading, or holding (leading, but it does not believe the store).")), []string{"state"}),
		compute: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "peerage", Subsystem: "controller", Name: "compute_duration_seconds",
			Help: "How long it took to plan the whole site once.", Buckets: prometheus.ExponentialBuckets(50e-6, 4, 8)}),
		writes:      prometheus.NewCounter(prometheus.CounterOpts(opts("plan_writes_total", "Plans written."))),
		writeErrors: prometheus.NewCounter(prometheus.CounterOpts(opts("plan_write_errors_total", "Plans that could not be written; each is tried again."))),
		eventsLost:  prometheus.NewCounter(prometheus.CounterOpts(opts("events_lost_total", "Events that found no room in the queue to the audit trail."))),
	}
	m.enter(stateFollowing)
	return m
}

// enter sets the one state that is 1.
func (m *Metrics) enter(state string) {
	for _, s := range []string{stateFollowing, stateLeading, stateHolding} {
		v := 0.0
		if s == state {
			v = 1
		}
		m.state.WithLabelValues(s).Set(v)
	}
}

// siteCollector shows the plans that are in the store.
type siteCollector struct {
	read                             func() *api.State
	generation, held, servers, agree *prometheus.Desc
}

func newSiteCollector(read func() *api.State) *siteCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("peerage_controller_"+name, help, append([]string{"pool"}, labels...), nil)
	}
	return &siteCollector{
		read:       read,
		generation: desc("plan_generation", "Generation of the pool's plan."),
		held:       desc("plan_held", "1 while a guard holds something back from the pool's plan.", "guard"),
		servers:    desc("servers", "Real servers of the pool by their state in the plan.", "state"),
		agree:      desc("loadbalancers", "Live load balancers of the pool, by whether their kernel holds the table of the plan.", "agree"),
	}
}

// Describe implements prometheus.Collector.
func (c *siteCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.generation, c.held, c.servers, c.agree} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *siteCollector) Collect(ch chan<- prometheus.Metric) {
	st := c.read()
	for pool, p := range st.Plans {
		gauge := func(d *prometheus.Desc, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{pool}, labels...)...)
		}
		gauge(c.generation, float64(p.Generation))
		if p.Held != nil {
			gauge(c.held, 1, p.Held.Guard)
		}
		counts := map[api.ServerState]int{}
		for _, d := range p.Destinations {
			counts[d.State]++
		}
		for _, s := range []api.ServerState{api.ServerServing, api.ServerDepooled, api.ServerUnhealthy, api.ServerSuspect, api.ServerJoining} {
			gauge(c.servers, float64(counts[s]), string(s))
		}
		agree, differ := plan.Agreement(st, p)
		gauge(c.agree, float64(len(agree)), "yes")
		gauge(c.agree, float64(len(differ)), "no")
	}
}
