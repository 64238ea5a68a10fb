package speaker

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/peerage/peerage/realserver/bgp"
)

// cause names why a session ended, as a label: few values, none from outside.
func cause(why error) string {
	if _, ok := errors.AsType[*remoteError](why); ok {
		return "notification_received"
	}
	if e, ok := errors.AsType[*bgp.Error](why); ok {
		switch e.Notification.Code {
		case bgp.CodeHoldTimer:
			return "hold_timer"
		case bgp.CodeCease:
			return "cease"
		}
		return "protocol_error"
	}
	if errors.Is(why, errSendHold) {
		return "send_hold_timer"
	}
	return "connection_lost"
}

// metric describes one; its labels follow the help.
func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("peerage_speaker_"+name, help, labels, nil)
}

// descs are the metrics. Labels are configured names, numbers of parts and
// words of this program; nothing that a router says.
type descs struct {
	connections, refused, problems, listeners, sets, setBytes      *prometheus.Desc
	sessions, routes, memory, ups, ended, updates, treated, paused *prometheus.Desc
	prefixes, shardRoutes, shardBytes, applied, changed, queued    *prometheus.Desc
	packed, messages, workerBytes, lagging                         *prometheus.Desc
}

func newDescs() *descs {
	return &descs{
		connections: metric("connections", "Connections in any state, health checks and refused ones among them."),
		refused:     metric("connections_refused_total", "Connections that did not become sessions, by reason.", "reason"),
		problems:    metric("config_problems", "What could not be done of the configuration in force."),
		listeners:   metric("listeners", "Addresses that are listened on."),
		sets:        metric("attribute_sets", "Different sets of path attributes that are held."),
		setBytes:    metric("attribute_bytes", "Memory of the sets of path attributes."),

		sessions: metric("sessions", "Sessions of the customer, by state (established, other).", "customer", "state"),
		routes:   metric("routes", "Routes held of the customer's sessions, by family.", "customer", "family"),
		memory:   metric("customer_memory_bytes", "Memory charged to the customer.", "customer"),
		ups:      metric("sessions_established_total", "Sessions of the customer that came up.", "customer"),
		ended:    metric("sessions_ended_total", "Connections of the customer's routers that ended, by cause.", "customer", "cause"),
		updates:  metric("updates_received_total", "UPDATEs of the customer.", "customer"),
		treated:  metric("updates_malformed_total", "UPDATEs of the customer that RFC 7606 had treated as withdrawn, or an attribute of them discarded.", "customer"),
		paused:   metric("paused_seconds_total", "Time that the customer's sessions were not read, to keep to the limit of its rate.", "customer"),

		prefixes:    metric("shard_prefixes", "Prefixes of the shard.", "shard"),
		shardRoutes: metric("shard_routes", "Routes of the shard.", "shard"),
		shardBytes:  metric("shard_bytes", "Memory of the shard's tables.", "shard"),
		applied:     metric("shard_applied_total", "Announcements and withdrawals that the shard took.", "shard"),
		changed:     metric("shard_changed_total", "Announcements and withdrawals that changed a best route.", "shard"),
		queued:      metric("shard_queued_batches", "Batches that wait for the shard.", "shard"),

		packed:      metric("worker_packed_prefixes_total", "Prefixes that the update worker packed, once for all sessions that get the same.", "worker"),
		messages:    metric("worker_messages_total", "Messages that the update worker packed.", "worker"),
		workerBytes: metric("worker_bytes_total", "Bytes that the update worker packed.", "worker"),
		lagging:     metric("worker_lagging_sessions", "Sessions that fell behind and take their own pace.", "worker"),
	}
}

// Describe implements prometheus.Collector: what there is depends on the
// configuration, so nothing is promised.
func (s *Speaker) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s *Speaker) Collect(out chan<- prometheus.Metric) {
	c := collection{newDescs(), out}
	c.process(s)
	c.customers(s)
	c.exchange(s)
}

type collection struct {
	*descs
	out chan<- prometheus.Metric
}

func (c *collection) gauge(d *prometheus.Desc, v float64, labels ...string) {
	c.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (c *collection) counter(d *prometheus.Desc, v float64, labels ...string) {
	c.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func (c *collection) process(s *Speaker) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c.gauge(c.connections, float64(s.conns))
	c.gauge(c.problems, float64(s.problems))
	c.gauge(c.listeners, float64(len(s.sockets)))
	for r, n := range s.refused {
		c.counter(c.refused, float64(n), refusal(r).String())
	}
	for e, n := range s.ends {
		c.counter(c.ended, float64(n), e.customer, e.cause)
	}
}

// usage is what is summed over a customer's sessions.
type usage struct {
	established, other int
	routes             map[bgp.Family]int64
}

func (c *collection) customers(s *Speaker) {
	used := map[*customer]*usage{}
	s.mu.RLock()
	for _, customer := range s.customers {
		used[customer] = &usage{routes: map[bgp.Family]int64{bgp.IPv4Unicast: 0, bgp.IPv6Unicast: 0}}
	}
	s.mu.RUnlock()
	s.eachSession(func(session *session) {
		u := used[session.customer]
		if u == nil {
			return // the customer is gone, and so will be the session
		}
		if session.now() != established {
			u.other++
			return
		}
		u.established++
		if p := session.exchange.Load(); p != nil {
			for f, n := range p.Counts().Routes {
				u.routes[f] += n
			}
		}
	})
	for customer, u := range used {
		c.gauge(c.sessions, float64(u.established), customer.name, "established")
		c.gauge(c.sessions, float64(u.other), customer.name, "other")
		for f, n := range u.routes {
			c.gauge(c.routes, float64(n), customer.name, f.String())
		}
		c.gauge(c.memory, float64(customer.memory.Used()), customer.name)
		c.counter(c.ups, float64(customer.ups.Load()), customer.name)
		c.counter(c.updates, float64(customer.updates.Load()), customer.name)
		c.counter(c.treated, float64(customer.treated.Load()), customer.name)
		c.counter(c.paused, time.Duration(customer.paused.Load()).Seconds(), customer.name)
	}
}

func (c *collection) exchange(s *Speaker) {
	stats := s.exchange.Stats()
	c.gauge(c.sets, float64(stats.AttributeSets))
	c.gauge(c.setBytes, float64(stats.AttributeBytes))
	for i := range stats.Shards {
		shard, name := &stats.Shards[i], strconv.Itoa(i)
		c.gauge(c.prefixes, float64(shard.Prefixes), name)
		c.gauge(c.shardRoutes, float64(shard.Routes), name)
		c.gauge(c.shardBytes, float64(shard.Bytes), name)
		c.counter(c.applied, float64(shard.Applied), name)
		c.counter(c.changed, float64(shard.Changed), name)
		c.gauge(c.queued, float64(shard.Queued), name)
	}
	for i := range stats.Workers {
		worker, name := &stats.Workers[i], strconv.Itoa(i)
		c.counter(c.packed, float64(worker.Packed), name)
		c.counter(c.messages, float64(worker.Messages), name)
		c.counter(c.workerBytes, float64(worker.Bytes), name)
		c.gauge(c.lagging, float64(worker.Lagging), name)
	}
}
