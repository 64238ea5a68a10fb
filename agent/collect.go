package agent

import (
	"github.com/prometheus/client_golang/prometheus"
)

// desc is one metric of the state. They are made anew for each collection:
// there are few, and package variables would be shared state.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("peerage_agent_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector. The collector is unchecked: what
// it has depends on the site.
func (m *Metrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	s := m.snap
	m.mu.Unlock()
	if s == nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(desc("store_believed", "Whether the store is taken at its word; otherwise the last good plans stay."), number(s.believed))
	gauge(desc("warm", "Whether the connection table of this life of the kernel may be relied on."), number(s.warm))
	failing := desc("part_failing", "Whether a part of the host could not be made as planned.", "part")
	for _, p := range parts() {
		gauge(failing, number(s.errs[p]), string(p))
	}
	up := desc("fabric_session_up", "Whether the BGP session with a fabric router is established.", "peer")
	bfd := desc("fabric_bfd_up", "Whether BFD with a fabric router is up; absent when it is not used.", "peer")
	for peer, st := range s.peers {
		gauge(up, number(st.State == "Established"), peer)
		if st.BFD != "" {
			gauge(bfd, number(st.BFD == "Up"), peer)
		}
	}
	for pool, ps := range s.pools {
		ps.collect(out, pool)
	}
}

func (ps poolSnapshot) collect(out chan<- prometheus.Metric, pool string) {
	send := func(kind prometheus.ValueType, d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	g, c := prometheus.GaugeValue, prometheus.CounterValue
	send(g, desc("desired_generation", "Generation of the newest plan in the store.", "pool"), float64(ps.desired), pool)
	send(g, desc("applied_generation", "Generation of the plan that the kernel's table was last equal to.", "pool"), float64(ps.applied), pool)
	send(g, desc("table_equal", "Whether the kernel's table is equal to the plan in force.", "pool"), number(ps.equal), pool)
	send(g, desc("plan_refused", "Whether the newest plan in the store was refused.", "pool"), number(ps.refused), pool)
	announced := desc("vip_announced", "Whether at least one fabric router was told of the VIP.", "pool", "vip")
	state := desc("vip_state", "What the announce gate says of the VIP, one-hot.", "pool", "vip", "state")
	for vip, vs := range ps.vips {
		send(g, announced, number(vs.announced), pool, vip)
		for _, reason := range gateReasons() {
			send(g, state, number(vs.reason == reason), pool, vip, string(reason))
		}
	}
	labels := []string{"pool", "server"}
	for server, n := range ps.servers {
		send(g, desc("server_active_connections", "Entries in the connection table by real server; an estimate in direct return.", labels...), float64(n.ActiveConns), pool, server)
		send(g, desc("server_inactive_connections", "Inactive entries in the connection table by real server.", labels...), float64(n.InactiveConns), pool, server)
		send(c, desc("server_connections_total", "Connections scheduled to a real server.", labels...), float64(n.Connections), pool, server)
		send(c, desc("server_in_packets_total", "Packets sent on to a real server.", labels...), float64(n.InPackets), pool, server)
		send(c, desc("server_in_bytes_total", "Bytes sent on to a real server.", labels...), float64(n.InBytes), pool, server)
	}
}
