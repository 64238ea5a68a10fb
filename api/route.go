package api

import "net/netip"

// RouteIntent is a route that operators want sent to customers: `peeragectl
// announce` writes it and `peeragectl withdraw` takes it back. Whichever real
// server holds a session sends the routes meant for it, before End-of-RIB.
type RouteIntent struct {
	Schema int `json:"schema"`
	Mark
	// Target says to whom; with Prefix it identifies the route: a second one
	// replaces the first.
	Target RouteTarget  `json:"target"`
	Prefix netip.Prefix `json:"prefix"`
	// NextHop is of the prefix's family.
	NextHop netip.Addr `json:"nextHop"`
	// Communities are written "AS:VALUE", as in 65535:666 (RFC 7999), or as a
	// well-known name: blackhole, no-export, no-advertise, no-peer.
	Communities []string `json:"communities,omitempty"`
	// LargeCommunities are written "A:B:C" (RFC 8092).
	LargeCommunities []string `json:"largeCommunities,omitempty"`
	// MED is sent when it is set; LocalPref to internal sessions only, where
	// its default is 100.
	MED       *uint32 `json:"med,omitempty"`
	LocalPref *uint32 `json:"localPref,omitempty"`
}

// RouteTarget says to whom a route is sent: exactly one field is set.
type RouteTarget struct {
	// All sends it to every session of every customer.
	All bool `json:"all,omitempty"`
	// Customer sends it to every session of one customer.
	Customer string `json:"customer,omitempty"`
	// Session sends it to the sessions of one router, by its address.
	Session netip.Addr `json:"session,omitzero"`
}
