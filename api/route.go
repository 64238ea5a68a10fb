package api

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

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

// The bounds of originated routes: those of one path attribute, and those of
// what every speaker must hold.
const (
	maxCommunities = 255
	// MaxRoutes bounds the originated routes of a site, MaxTargetRoutes those
	// to one target.
	MaxRoutes       = 20_000
	MaxTargetRoutes = 1_000
)

// Active tells whether the route is in force at now; nil is no route.
func (r *RouteIntent) Active(now time.Time) bool { return r != nil && r.Mark.Active(now) }

// ID identifies a route by target and prefix. It is part of keys and paths: it
// has no slash, and no other route has it.
func (r *RouteIntent) ID() string {
	return r.Target.id() + "," + strings.ReplaceAll(r.Prefix.String(), "/", "-")
}

func (t RouteTarget) id() string {
	switch {
	case t.All:
		return "all"
	case t.Customer != "":
		return "customer," + t.Customer
	}
	return "session," + t.Session.String()
}

// String says to whom a route is sent, for people.
func (t RouteTarget) String() string {
	switch {
	case t.All:
		return "all customers"
	case t.Customer != "":
		return "customer " + t.Customer
	}
	return "session " + t.Session.String()
}

// Canonical writes every community in one way, in one order.
func (r *RouteIntent) Canonical() {
	r.Communities = canonical(r.Communities, ParseCommunity)
	r.LargeCommunities = canonical(r.LargeCommunities, ParseLargeCommunity)
}

// Same tells whether two routes send the same to the same; who wants it, since
// when and until when does not count.
func (r *RouteIntent) Same(o *RouteIntent) bool {
	return r.Target == o.Target && r.Prefix == o.Prefix && r.NextHop == o.NextHop &&
		slices.Equal(r.Communities, o.Communities) && slices.Equal(r.LargeCommunities, o.LargeCommunities) &&
		equal(r.MED, o.MED) && equal(r.LocalPref, o.LocalPref)
}

func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// Check reports every violation.
func (r *RouteIntent) Check() error {
	rep := &report{object: "Route/" + r.Prefix.String()}
	rep.target(r.Target)
	rep.routePrefix(r.Prefix)
	if rep.address("nextHop", r.NextHop) && r.Prefix.IsValid() && r.NextHop.Is4() != r.Prefix.Addr().Is4() {
		rep.add("nextHop", fmt.Sprintf("%v is not of the family of %v", r.NextHop, r.Prefix), "write an "+familyOf(r.Prefix.Addr())+" address")
	}
	rep.communities("communities", r.Communities, func(s string) error { _, err := ParseCommunity(s); return err })
	rep.communities("largeCommunities", r.LargeCommunities, func(s string) error { _, err := ParseLargeCommunity(s); return err })
	return rep.err()
}

// CheckTarget reports what is wrong with target and prefix, which identify a
// route.
func (r *RouteIntent) CheckTarget() error {
	rep := &report{object: "Route/" + r.Prefix.String()}
	rep.target(r.Target)
	rep.routePrefix(r.Prefix)
	return rep.err()
}

func (r *report) target(t RouteTarget) {
	given := 0
	for _, set := range []bool{t.All, t.Customer != "", t.Session.IsValid()} {
		if set {
			given++
		}
	}
	if given != 1 {
		r.add("target", fmt.Sprintf("%d of all, customer and session are given", given), "give one of them")
	}
	if t.Customer != "" {
		if err := CheckCustomerName(t.Customer); err != nil {
			problem, fix, _ := strings.Cut(err.Error(), "; ")
			r.add("target.customer", problem, fix)
		}
	}
	if t.Session.IsValid() {
		r.address("target.session", t.Session)
	}
}

// routePrefix checks the prefix of a route: anything that unicast routing has,
// a default route too.
func (r *report) routePrefix(p netip.Prefix) {
	const fix = "write a unicast prefix such as 192.0.2.1/32, 2001:db8::/48 or 0.0.0.0/0"
	switch {
	case !p.IsValid():
		r.add("prefix", "the prefix is missing", fix)
	case p.Addr().Is4In6():
		r.add("prefix", fmt.Sprintf("%v is an IPv4 prefix written as IPv6", p), "write it as IPv4")
	case p != p.Masked():
		r.add("prefix", fmt.Sprintf("%v has bits set beyond its length", p), fmt.Sprintf("write %v, or %v/%d for the single address", p.Masked(), p.Addr(), p.Addr().BitLen()))
	case p.Bits() > 0 && (p.Addr().IsMulticast() || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast()):
		r.add("prefix", fmt.Sprintf("%v is not unicast, or never leaves a link", p), fix)
	}
}

func (r *report) communities(path string, list []string, parse func(string) error) {
	r.count(path, len(list), 0, maxCommunities)
	for i, text := range list {
		if err := parse(text); err != nil {
			problem, fix, _ := strings.Cut(err.Error(), "; ")
			r.add(fmt.Sprintf("%s[%d]", path, i), problem, fix)
		}
	}
}

// RouteRequest is the body of announce and withdraw. Withdraw reads Target,
// Prefix, Reason and DryRun.
type RouteRequest struct {
	Target           RouteTarget  `json:"target"`
	Prefix           netip.Prefix `json:"prefix"`
	NextHop          netip.Addr   `json:"nextHop,omitzero"`
	Communities      []string     `json:"communities,omitempty"`
	LargeCommunities []string     `json:"largeCommunities,omitempty"`
	MED              *uint32      `json:"med,omitempty"`
	LocalPref        *uint32      `json:"localPref,omitempty"`
	// Reason says why. Announce needs one.
	Reason string `json:"reason,omitempty"`
	// Until ends the route by itself; For does so after a time. At most one.
	Until time.Time `json:"until,omitzero"`
	For   Duration  `json:"for,omitempty"`
	// AcceptRisk names the guards to override.
	AcceptRisk []Risk `json:"acceptRisk,omitempty"`
	// DryRun changes nothing and says what would be done.
	DryRun bool `json:"dryRun,omitempty"`
}

// RouteResult is the answer of announce and withdraw.
type RouteResult struct {
	DryRun  bool `json:"dryRun,omitempty"`
	Changed bool `json:"changed"`
	// Revision is the store's, after the write; 0 without one.
	Revision int64 `json:"revision,omitempty"`
	// Before and After are the route in force; nil for none.
	Before *RouteIntent `json:"before"`
	After  *RouteIntent `json:"after"`
}
