package api

import "net/netip"

// Pool is one service: the addresses that customers peer with, and the real
// servers that share their sessions.
type Pool struct {
	Meta `json:"metadata"`
	Spec PoolSpec `json:"spec"`
}

// PoolSpec is what a site writes about a pool.
type PoolSpec struct {
	// VIPs are the addresses that customers peer with; IPv4 and IPv6 may be
	// mixed. At least one, at most 64. No two pools share address and port.
	VIPs []netip.Addr `json:"vips"`
	// Port is the TCP port of the sessions. Default 179 (RFC 4271 section 4).
	Port uint16 `json:"port,omitempty"`
	// Scheduler is the IPVS scheduler. Default mh.
	Scheduler Scheduler `json:"scheduler,omitempty"`
	// Forwarding says how an LB hands a packet on. Default dsr.
	Forwarding Forwarding `json:"forwarding,omitempty"`
	// RealServers names the members. Their order does not matter: the plan
	// keeps a canonical order of its own to which newcomers are appended.
	RealServers []string `json:"realServers"`
	// LoadBalancers names the LBs that carry the pool. Empty: all of them.
	LoadBalancers []string `json:"loadBalancers,omitempty"`
	// HealthCheck says how members are probed.
	HealthCheck HealthCheck `json:"healthCheck,omitzero"`
	// Guards bound what operators and failures may do to the pool.
	Guards Guards `json:"guards,omitzero"`
	// Speaker says what BGP sessions the members accept.
	Speaker Speaker `json:"speaker,omitzero"`
}

// ObjectKind implements Object.
func (*Pool) ObjectKind() Kind { return KindPool }

// ObjectMeta implements Object.
func (p *Pool) ObjectMeta() *Meta { return &p.Meta }

// ObjectSpec implements Object.
func (p *Pool) ObjectSpec() any { return &p.Spec }

// Scheduler is an IPVS scheduling algorithm.
type Scheduler string

// The schedulers. With mh a customer that reconnects comes back to the same
// real server; wlc, wrr and rr have no memory; sh moves most customers when
// a member is deleted.
const (
	SchedulerMH  Scheduler = "mh"
	SchedulerWLC Scheduler = "wlc"
	SchedulerWRR Scheduler = "wrr"
	SchedulerRR  Scheduler = "rr"
	SchedulerSH  Scheduler = "sh"
)

// Forwarding is how an LB hands a packet to a real server.
type Forwarding string

// The forwarding methods. Only dsr works today; validation refuses the others.
const (
	ForwardingDSR  Forwarding = "dsr"
	ForwardingIPIP Forwarding = "ipip"
	ForwardingGUE  Forwarding = "gue"
)

// HealthCheck says how every LB probes every real server of a pool.
type HealthCheck struct {
	// Type is "bgp" (an OPEN must be received) or "tcp" (a connect must
	// succeed). Default bgp.
	Type HealthCheckType `json:"type,omitempty"`
	// Interval is the time between two probes of one server. Default 1s.
	Interval Duration `json:"interval,omitempty"`
	// Timeout bounds one probe. Default 1s; at most ten intervals.
	Timeout Duration `json:"timeout,omitempty"`
	// Fall is how many failures in a row make a path bad. Default 3.
	Fall int `json:"fall,omitempty"`
	// Rise is how many successes in a row make it good again. Default 2.
	Rise int `json:"rise,omitempty"`
}

// HealthCheckType selects a probe.
type HealthCheckType string

// The probes.
const (
	HealthCheckBGP HealthCheckType = "bgp"
	HealthCheckTCP HealthCheckType = "tcp"
)

// Guards bound what may be done to a pool. Each is a number of real servers
// ("2") or a share of the members ("50%", rounded against the operator).
type Guards struct {
	// MinHealthy is how many members must stay healthy and pooled: a verb that
	// would go below is refused. Default 50%.
	MinHealthy Quota `json:"minHealthy,omitzero"`
	// MaxDepooled is how many may be depooled by operators at once. Default 50%.
	MaxDepooled Quota `json:"maxDepooled,omitzero"`
	// MaxShrink is how many members one new plan may remove or take out of
	// service; a larger step is held back. Default 50%.
	MaxShrink Quota `json:"maxShrink,omitzero"`
}

// Speaker says which BGP sessions the members of a pool accept on the VIPs.
type Speaker struct {
	// LocalAS is the AS number that customers peer with. Required.
	LocalAS uint32 `json:"localAS"`
	// HoldTime is offered in the OPEN. Default 90s; 3s..65535s in whole
	// seconds. RFC 4271's 0 is refused: without keepalives a session is
	// silent, and the load balancers' connection tables forget it.
	HoldTime Duration `json:"holdTime,omitempty"`
	// Neighbors are the customers' routers. A session whose source is in none
	// of the prefixes is refused; the longest prefix decides.
	Neighbors []Neighbor `json:"neighbors,omitempty"`
}

// Neighbor accepts sessions from a prefix of customers' routers.
type Neighbor struct {
	// Name is unique in the pool: a DNS label.
	Name string `json:"name"`
	// Prefix holds the sources; a single router is a /32 or /128.
	Prefix netip.Prefix `json:"prefix"`
	// AS is the neighbours' AS number; 0 accepts any but the local one.
	AS uint32 `json:"as,omitempty"`
	// MD5Secret names the file in the real servers' secrets directory that
	// holds the TCP-MD5 key (RFC 2385). The key itself never enters a store.
	MD5Secret string `json:"md5Secret,omitempty"`
}
