package api

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Plan is the computed truth of one pool. The leader writes it; every node
// that the pool concerns makes itself equal to it.
type Plan struct {
	Schema int    `json:"schema"`
	Pool   string `json:"pool"`
	// Generation grows by one with every change of the content.
	Generation int64 `json:"generation"`
	// Port, Scheduler, Forwarding and VIPs make the IPVS services, one a VIP.
	VIPs       []netip.Addr `json:"vips"`
	Port       uint16       `json:"port"`
	Scheduler  Scheduler    `json:"scheduler"`
	Forwarding Forwarding   `json:"forwarding"`
	// Destinations are in canonical order, the order in which every LB adds
	// them. A server keeps its place whatever its weight; newcomers come last.
	Destinations []Destination `json:"destinations"`
	// Announcements are sorted by LB, then by VIP.
	Announcements []Announcement `json:"announcements"`
	// HealthCheck and Speaker are handed on from the pool, with defaults.
	HealthCheck HealthCheck `json:"healthCheck"`
	Speaker     Speaker     `json:"speaker"`
	// Probes are the addresses that health checks come from.
	Probes []netip.Addr `json:"probes,omitempty"`
	// Held says that the plan is older than what was asked for, and why.
	Held *Held `json:"held,omitempty"`
}

// Held says why a newer result was not taken.
type Held struct {
	// Guard is the guard that refused, such as max-shrink.
	Guard  string    `json:"guard"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// Destination is one real server in a plan.
type Destination struct {
	Server    string       `json:"server"`
	Addresses []netip.Addr `json:"addresses"`
	// Nominal is the weight, 1..8, that mh's table is built with. A kernel
	// gets it first even when Weight is 0: mh remembers the last weight that
	// was not 0.
	Nominal int `json:"nominal"`
	// Weight is the effective weight: Nominal, or 0 when not serving.
	Weight int         `json:"weight"`
	State  ServerState `json:"state"`
	// Since is when State last changed, by the leader's clock.
	Since time.Time `json:"since,omitzero"`
	// Reason says why the server is not serving.
	Reason string `json:"reason,omitempty"`
}

// ServerState is why a server has its weight.
type ServerState string

// The states of a server in a plan.
const (
	ServerServing   ServerState = "serving"
	ServerDepooled  ServerState = "depooled"
	ServerUnhealthy ServerState = "unhealthy"
	// ServerJoining was added to a running pool and has not been seen healthy
	// yet: it waits at weight 0 and counts in no guard.
	ServerJoining ServerState = "joining"
	// ServerSuspect is unhealthy by what is measured, but kept in service
	// because too many are at once (rule 7: correlated failure fails open).
	ServerSuspect ServerState = "suspect"
)

// Announcement says what one LB does with one VIP.
type Announcement struct {
	LB  string     `json:"lb"`
	VIP netip.Addr `json:"vip"`
	// Announce is false for an LB that is withdrawn on purpose.
	Announce bool   `json:"announce"`
	MED      uint32 `json:"med"`
	Reason   string `json:"reason,omitempty"`
}

// Flags are the IPVS scheduler flags of the plan's services.
func (p *Plan) Flags() []string {
	if p.Scheduler == SchedulerMH {
		return []string{"mh-fallback"}
	}
	return nil
}

// Tables is the IPVS table that the plan asks for, one entry a VIP. A real
// server is a destination of the VIPs whose family it has an address of.
func (p *Plan) Tables() []Table {
	tables := make([]Table, 0, len(p.VIPs))
	for _, vip := range p.VIPs {
		t := Table{VIP: vip, Port: p.Port, Scheduler: p.Scheduler, Flags: p.Flags()}
		for _, d := range p.Destinations {
			for _, a := range d.Addresses {
				if a.Is4() == vip.Is4() {
					t.Destinations = append(t.Destinations, TableDestination{a, p.Port, p.Forwarding, d.Nominal, d.Weight})
				}
			}
		}
		tables = append(tables, t)
	}
	return tables
}

// Table is one IPVS service with its destinations in the order of insertion.
type Table struct {
	VIP          netip.Addr
	Port         uint16
	Scheduler    Scheduler
	Flags        []string
	Destinations []TableDestination
}

// TableDestination is one destination of a service. Nominal is the last
// weight that was not 0; the kernel does not show it.
type TableDestination struct {
	Addr       netip.Addr
	Port       uint16
	Forwarding Forwarding
	Nominal    int
	Weight     int
}

// String renders the table one service or destination a line, in the manner
// of ipvsadm -Sn, destinations in the order of insertion.
func (t Table) String() string {
	var b strings.Builder
	service := netip.AddrPortFrom(t.VIP, t.Port)
	fmt.Fprintf(&b, "-A -t %s -s %s", service, t.Scheduler)
	if len(t.Flags) > 0 {
		fmt.Fprintf(&b, " -b %s", strings.Join(t.Flags, ","))
	}
	b.WriteByte('\n')
	for _, d := range t.Destinations {
		fmt.Fprintf(&b, "-a -t %s -r %s %s -w %d nominal %d\n", service,
			netip.AddrPortFrom(d.Addr, d.Port), forwardingFlag(d.Forwarding), d.Weight, d.Nominal)
	}
	return b.String()
}

func forwardingFlag(f Forwarding) string {
	switch f {
	case ForwardingDSR:
		return "-g"
	case ForwardingIPIP:
		return "-i"
	case ForwardingGUE:
		return "-i --tun-type gue"
	}
	return fmt.Sprintf("--forwarding %q", string(f)) // a kernel may hold what we never write
}

// Fingerprint identifies the tables of one pool: two LBs with the same
// fingerprint send every customer to the same real server. It does not depend
// on the order of the tables, and does on the order of their destinations.
func Fingerprint(tables []Table) string {
	sorted := slices.SortedFunc(slices.Values(tables), func(a, b Table) int {
		return netip.AddrPortFrom(a.VIP, a.Port).Compare(netip.AddrPortFrom(b.VIP, b.Port))
	})
	h := sha256.New()
	for _, t := range sorted {
		h.Write([]byte(t.String()))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
