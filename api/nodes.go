package api

import "net/netip"

// LoadBalancer is a machine that runs peerage-agent.
type LoadBalancer struct {
	Meta `json:"metadata"`
	Spec LoadBalancerSpec `json:"spec"`
}

// LoadBalancerSpec is what a site writes about an LB.
type LoadBalancerSpec struct {
	// Addresses are the LB's own: at most one per family. Probes come from
	// them, and the fabric sessions are opened from them.
	Addresses []netip.Addr `json:"addresses"`
	// Interface carries the connection sync (multicast) and faces the real
	// servers, for example eth0.
	Interface string `json:"interface"`
	// MED is announced with the VIPs; the lowest wins, equal ones share
	// (ECMP). Default 100.
	MED *uint32 `json:"med,omitempty"`
	// Fabric says which routers the VIPs are announced to.
	Fabric Fabric `json:"fabric,omitzero"`
}

// ObjectKind implements Object.
func (*LoadBalancer) ObjectKind() Kind { return KindLoadBalancer }

// ObjectMeta implements Object.
func (l *LoadBalancer) ObjectMeta() *Meta { return &l.Meta }

// ObjectSpec implements Object.
func (l *LoadBalancer) ObjectSpec() any { return &l.Spec }

// Fabric is the BGP side of an LB towards the routers of the site.
type Fabric struct {
	// LocalAS is the LB's AS number. Required when there are peers.
	LocalAS uint32 `json:"localAS,omitempty"`
	// RouterID is the LB's BGP identifier. Default: its IPv4 address.
	RouterID netip.Addr `json:"routerID,omitzero"`
	// Peers are the fabric routers.
	Peers []FabricPeer `json:"peers,omitempty"`
	// BFD holds the timers of the peers that use it.
	BFD BFD `json:"bfd,omitzero"`
}

// FabricPeer is one BGP session from an LB to a fabric router.
type FabricPeer struct {
	// Name is unique in the LB: a DNS label.
	Name string `json:"name"`
	// Address is the router's; its family decides which VIPs it hears of.
	Address netip.Addr `json:"address"`
	// AS is the router's AS number.
	AS uint32 `json:"as"`
	// BFD asks for RFC 5880 liveness detection. Default true.
	BFD *bool `json:"bfd,omitempty"`
	// HoldTime of the session. Default 90s; 3s..65535s in whole seconds.
	HoldTime Duration `json:"holdTime,omitempty"`
	// MD5Secret names a file in the LB's secrets directory with the TCP-MD5 key.
	MD5Secret string `json:"md5Secret,omitempty"`
}

// BFD holds RFC 5880 timers: a router is lost after Multiplier × Interval.
type BFD struct {
	// Interval is both the desired transmit and the required receive
	// interval. Default 200ms.
	Interval Duration `json:"interval,omitempty"`
	// Multiplier is the detection multiplier. Default 3.
	Multiplier int `json:"multiplier,omitempty"`
}

// RealServer is a machine that runs peerage-realserver and a BGP speaker.
type RealServer struct {
	Meta `json:"metadata"`
	Spec RealServerSpec `json:"spec"`
}

// RealServerSpec is what a site writes about a real server.
type RealServerSpec struct {
	// Addresses are the server's own in the LBs' network: at most one per
	// family. A VIP of a family needs an address of that family.
	Addresses []netip.Addr `json:"addresses"`
	// Weight is the nominal share, 1..8, default 1. It is a small integer
	// because mh divides weights by their gcd and keeps 6 bits.
	Weight int `json:"weight,omitempty"`
}

// ObjectKind implements Object.
func (*RealServer) ObjectKind() Kind { return KindRealServer }

// ObjectMeta implements Object.
func (r *RealServer) ObjectMeta() *Meta { return &r.Meta }

// ObjectSpec implements Object.
func (r *RealServer) ObjectSpec() any { return &r.Spec }

// SettingsName is the only name that a Settings object may have.
const SettingsName = "site"

// Settings holds what is true of the whole site.
type Settings struct {
	Meta `json:"metadata"`
	Spec SettingsSpec `json:"spec"`
}

// SettingsSpec is what a site writes about itself.
type SettingsSpec struct {
	// ConnSync tunes the kernel's connection synchronisation between LBs.
	ConnSync ConnSync `json:"connSync,omitzero"`
	// LeaseTTL is how long a node that fell silent counts as alive.
	// Default 10s; 2s..5m.
	LeaseTTL Duration `json:"leaseTTL,omitempty"`
	// ObserveInterval bounds how often a node rewrites measurements that
	// changed only in numbers; changes of state are written at once. Default 5s.
	ObserveInterval Duration `json:"observeInterval,omitempty"`
}

// ConnSync tunes ip_vs_sync on every LB.
type ConnSync struct {
	// ID separates sites on one wire (ipvsadm --syncid), 1..255. Default 1.
	ID uint8 `json:"id,omitempty"`
	// RefreshPeriod is net.ipv4.vs.sync_refresh_period: how often a live
	// connection's entry is sent again. Default 10s.
	RefreshPeriod Duration `json:"refreshPeriod,omitempty"`
	// Warmup is how long an LB that booted with an empty connection table
	// listens before it announces while a neighbour announces. It must exceed
	// the longest keepalive interval of the customers, because an entry is
	// sent again only when its session speaks. Default 75s.
	Warmup Duration `json:"warmup,omitempty"`
}

// ObjectKind implements Object.
func (*Settings) ObjectKind() Kind { return KindSettings }

// ObjectMeta implements Object.
func (s *Settings) ObjectMeta() *Meta { return &s.Meta }

// ObjectSpec implements Object.
func (s *Settings) ObjectSpec() any { return &s.Spec }
