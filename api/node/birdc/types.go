package birdc

import (
	"net/netip"
	"time"
)

// Status is the answer to "show status".
type Status struct {
	// Version is such as "2.0.12".
	Version  string
	RouterID netip.Addr
	Hostname string
	// ServerTime, LastReboot and LastReconfiguration are as BIRD writes them.
	ServerTime, LastReboot, LastReconfiguration string
	// Message is the last line, such as "Daemon is up and running".
	Message string
	// Ready is true unless BIRD is shutting down or reconfiguring.
	Ready bool
}

// Protocol is one protocol of "show protocols all".
type Protocol struct {
	Name  string
	Proto string // such as BGP
	Table string // "---" when it has several channels
	State string // up, start, down, stop
	Since string // as BIRD writes it
	Info  string // such as Established
	// Description is the configured one.
	Description string
	// BGP is set for protocols of that type.
	BGP *BGP
	// Channels are in BIRD's order.
	Channels []Channel
}

// BGP is what BIRD tells of a BGP protocol.
type BGP struct {
	// State is such as Established, Active, Passive, Idle, Down.
	State string
	// Neighbor is the peer; zero for a protocol that only waits for a range.
	Neighbor netip.Addr
	// Range is what a dynamic protocol waits for; zero otherwise.
	Range      netip.Prefix
	NeighborAS uint32 // 0: not fixed, or not known yet
	LocalAS    uint32
	NeighborID netip.Addr
	// LocalAddress is the address that an established session is to.
	LocalAddress netip.Addr
	// HoldTimer is what is left, HoldTime what was negotiated; both zero
	// unless the session is up.
	HoldTimer, HoldTime time.Duration
	// LastError is such as "Received: Administrative shutdown"; empty if none.
	LastError string
}

// Channel is one channel of a protocol.
type Channel struct {
	Name  string // such as ipv4
	State string // such as UP
	Table string
	// Imported, Exported and Preferred count routes.
	Imported, Exported, Preferred int
}

// Established tells whether the protocol is a BGP session that is up.
func (p *Protocol) Established() bool { return p.BGP != nil && p.BGP.State == "Established" }

// Imported sums the routes imported over all channels.
func (p *Protocol) Imported() int {
	n := 0
	for _, c := range p.Channels {
		n += c.Imported
	}
	return n
}

// Exported sums the routes exported over all channels.
func (p *Protocol) Exported() int {
	n := 0
	for _, c := range p.Channels {
		n += c.Exported
	}
	return n
}

// BFDSession is one line of "show bfd sessions".
type BFDSession struct {
	Neighbor  netip.Addr
	Interface string
	// State is Up, Down, Init or AdminDown.
	State             string
	Since             string // as BIRD writes it
	Interval, Timeout time.Duration
}

// Route is one route of "show route all".
type Route struct {
	Table    string
	Prefix   netip.Prefix
	Protocol string
	// Type is such as unicast, blackhole.
	Type string
	// Primary tells whether it is the best of its prefix.
	Primary bool
	Since   string
	// Attributes are all that BIRD shows, such as "BGP.med" or the name of a
	// custom attribute, with their values as written.
	Attributes map[string]string
}
