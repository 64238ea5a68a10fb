package api

import "net/netip"

// Customer owns one or more sessions: the routers that may peer with the VIPs
// of some pools, what happens to their routes, and what they may use.
type Customer struct {
	Meta `json:"metadata"`
	Spec CustomerSpec `json:"spec"`
}

// CustomerSpec is what a site writes about a customer.
type CustomerSpec struct {
	// Pools names the pools whose VIPs the customer peers with. At least one.
	Pools []string `json:"pools"`
	// Mode says what becomes of the customer's routes. Default collect.
	Mode CustomerMode `json:"mode,omitempty"`
	// Group names, in mode reflect, the set of sessions among which routes are
	// reflected; customers of one group see each other's routes. Default: a
	// group of the customer's own.
	Group string `json:"group,omitempty"`
	// Neighbors are the customer's routers. A session belongs to the neighbour
	// with the longest prefix that holds its source, of whatever customer.
	Neighbors []CustomerNeighbor `json:"neighbors"`
	// Families are exchanged when the router offers them too. Default: both
	// unicast families.
	Families []AddressFamily `json:"families,omitempty"`
	// HoldTime is offered in the OPEN. Default: the pool's.
	HoldTime Duration `json:"holdTime,omitempty"`
	// MinHoldTime refuses a router that asks for less (RFC 4271 section 6.2,
	// unacceptable hold time). Default 3s.
	MinHoldTime Duration `json:"minHoldTime,omitempty"`
	// TTLSecurity is the greatest number of hops to the router, 1..254; packets
	// from further away are dropped (RFC 5082). Default 0: no check.
	TTLSecurity int `json:"ttlSecurity,omitempty"`
	// MaxPrefixes bounds the routes of each session. Default: no bound.
	MaxPrefixes *MaxPrefixes `json:"maxPrefixes,omitempty"`
	// Limits bound what all sessions of the customer use together on one real
	// server. Default: no bound.
	Limits CustomerLimits `json:"limits,omitzero"`
}

// ObjectKind implements Object.
func (*Customer) ObjectKind() Kind { return KindCustomer }

// ObjectMeta implements Object.
func (c *Customer) ObjectMeta() *Meta { return &c.Meta }

// ObjectSpec implements Object.
func (c *Customer) ObjectSpec() any { return &c.Spec }

// CustomerMode is what becomes of a customer's routes.
type CustomerMode string

// The modes. In collect each session's routes are kept, and nothing is sent to
// anybody but what operators originate: tenants never see each other. In
// reflect the sessions of one group are those of a route reflector (RFC 4456);
// they are internal, in the pool's own AS.
const (
	CustomerCollect CustomerMode = "collect"
	CustomerReflect CustomerMode = "reflect"
)

// AddressFamily is a family of routes.
type AddressFamily string

// The families.
const (
	IPv4Unicast AddressFamily = "ipv4-unicast"
	IPv6Unicast AddressFamily = "ipv6-unicast"
)

// AddressFamilies lists every family.
func AddressFamilies() []AddressFamily { return []AddressFamily{IPv4Unicast, IPv6Unicast} }

// CustomerNeighbor accepts sessions from a prefix of one customer's routers.
type CustomerNeighbor struct {
	// Prefix holds the sources; a single router is a /32 or /128.
	Prefix netip.Prefix `json:"prefix"`
	// AS lists the AS numbers that the routers may have. Empty: any but the
	// pool's in mode collect, the pool's in mode reflect.
	AS []uint32 `json:"as,omitempty"`
	// MD5Secret names the file in the real servers' secrets directory that
	// holds the TCP-MD5 key (RFC 2385). The key itself never enters a store.
	MD5Secret string `json:"md5Secret,omitempty"`
	// NonClient makes the routers, in mode reflect, non-client peers: their
	// routes go to clients only (RFC 4456 section 6). Default false.
	NonClient bool `json:"nonClient,omitempty"`
}

// MaxPrefixes bounds the routes of one session, all families together.
type MaxPrefixes struct {
	// Limit is the greatest number of routes, 1 or more.
	Limit int `json:"limit"`
	// Action says what happens beyond the limit. Default close.
	Action MaxPrefixesAction `json:"action,omitempty"`
	// WarnAt is the share of Limit, in per cent, from which on the session is
	// reported. Default 80.
	WarnAt int `json:"warnAt,omitempty"`
}

// MaxPrefixesAction is what happens to a session with too many routes.
type MaxPrefixesAction string

// The actions: report only; keep the first Limit routes and drop further ones;
// end the session with Cease, maximum number of prefixes reached (RFC 4486).
const (
	MaxPrefixesWarn  MaxPrefixesAction = "warn"
	MaxPrefixesDrop  MaxPrefixesAction = "drop"
	MaxPrefixesClose MaxPrefixesAction = "close"
)

// CustomerLimits bound a customer on each real server.
type CustomerLimits struct {
	// MemoryMiB bounds the memory charged for the customer's routes, in MiB:
	// a fixed size for each, and its attributes as if no other route shared
	// them. The session that goes beyond ends with Cease, out of resources
	// (RFC 4486). 0: no bound.
	MemoryMiB int `json:"memoryMiB,omitempty"`
	// UpdatesPerSecond bounds the prefixes that are read, announced and
	// withdrawn, a second; the rest waits in the router. 0: no bound.
	UpdatesPerSecond int `json:"updatesPerSecond,omitempty"`
}
