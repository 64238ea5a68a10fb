package swarm

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
)

// Limits of a swarm.
const (
	MaxSessions = 100_000
	// DefaultRate bounds how many connections are opened in a second.
	DefaultRate = 500
	// DefaultInFlight bounds how many sessions come up for the first time at
	// the same moment.
	DefaultInFlight = 16
	// MaxChurn bounds the routes that are withdrawn or announced in a second.
	MaxChurn = 1_000_000
)

// Config says what a swarm does. Every field but those marked optional is needed.
type Config struct {
	// Targets are tried in turn: session i goes to the targets of its
	// source's family.
	Targets []netip.AddrPort
	From    []netip.Prefix
	// Sessions is how many, at most MaxSessions.
	Sessions int
	// FirstAS is the AS of session 0; session i has FirstAS + i mod ASes.
	FirstAS uint32
	ASes    uint32
	// PeerAS is checked against the OPEN; 0 takes any. Optional.
	PeerAS uint32
	// HoldTime is offered, 3 s..65535 s, or 0 for none.
	HoldTime time.Duration
	// Families are offered by every session; none means the family of its
	// source. Optional.
	Families []bgp.Family
	// Capabilities are offered besides those that the swarm knows. Optional.
	Capabilities []bgp.Capability
	// MD5 holds the key; an even spread of MD5Share·Sessions uses it. They take
	// their sources from MD5From if there is any: a speaker mostly has a key
	// for a prefix. Optional.
	MD5      string
	MD5Share float64
	MD5From  []netip.Prefix
	Profile  Profile
	// Rate bounds the connections opened in a second, first ones and
	// reconnections alike.
	Rate int
	// InFlight bounds how many sessions that were never up are between their
	// SYN and Established, each for its first second: a speaker's accept queue
	// is short, and a SYN that it drops is repeated by the kernel with waits
	// that double. 0 is no bound. Reconnections are never held back by it.
	InFlight int
	// Table is announced by every session once it is up. Optional.
	Table *Table
	// Churn is how many routes of the table are withdrawn or announced again
	// in a second, by all sessions in turn. Optional.
	Churn int
	// Seed makes the jitter repeatable. Optional.
	Seed uint64
	// OnChange is called for each change of state of a session, from many
	// goroutines; it must not block, and may use what never changes of the
	// record: Index, Source, AS and MD5. Optional.
	OnChange func(r *Record, c Change)
}

// Validate reports what is missing or out of bounds.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(len(c.Targets) > 0, "no target given; name one, such as 203.0.113.179:179")
	check(c.Sessions > 0 && c.Sessions <= MaxSessions, "%d sessions; use 1 to %d", c.Sessions, MaxSessions)
	check(c.HoldTime == 0 || c.HoldTime >= 3*time.Second && c.HoldTime <= 65535*time.Second, "hold time %s; use 0 or 3s to 65535s (RFC 4271 section 4.2)", c.HoldTime)
	check(c.FirstAS > 0 && c.ASes > 0 && uint64(c.FirstAS)+uint64(c.ASes) <= 1<<32, "AS numbers are 1 to 4294967295")
	check(c.Rate > 0, "a rate of %d sessions per second opens none", c.Rate)
	check(c.InFlight >= 0, "%d sessions in flight; use 0 for no bound, or more", c.InFlight)
	check(len(c.MD5) <= 80, "the TCP-MD5 key has %d bytes; the kernel takes 80", len(c.MD5))
	check(c.MD5Share >= 0 && c.MD5Share <= 1, "the share of MD5 sessions is %v; use 0 to 1", c.MD5Share)
	check(c.Churn >= 0 && c.Churn <= MaxChurn, "a churn of %d routes per second; use 0 to %d", c.Churn, MaxChurn)
	check(c.Churn == 0 || c.Table.Prefixes() > 0, "churn needs routes to announce; add --announce")
	check(c.Table.fits(c.Sessions), "%d sessions with prefixes of their own need more addresses than the synthetic block has; announce fewer", c.Sessions)
	check(len(c.MD5From) == 0 || c.MD5 != "", "sources for signed sessions, but no key to sign with; add --md5-key-file")
	for _, p := range c.prefixes() {
		check(len(c.targets(p.Addr())) > 0, "source prefix %s: no target of that family; add one with --target", p)
	}
	return errors.Join(errs...)
}

func (c *Config) targets(source netip.Addr) (ts []netip.AddrPort) {
	for _, t := range c.Targets {
		if t.Addr().Is4() == source.Is4() {
			ts = append(ts, t)
		}
	}
	return ts
}

// md5 tells whether session i signs its segments: an even spread of the share.
func (c *Config) md5(i int) bool {
	if c.MD5 == "" {
		return false
	}
	share := c.MD5Share
	return int(float64(i+1)*share) > int(float64(i)*share)
}

// prefixes are all prefixes of sources.
func (c *Config) prefixes() []netip.Prefix { return slices.Concat(c.From, c.MD5From) }

// families are what a session from a source offers.
func (c *Config) families(source netip.Addr) []bgp.Family {
	switch {
	case len(c.Families) > 0:
		return c.Families
	case source.Is4():
		return []bgp.Family{bgp.IPv4Unicast}
	}
	return []bgp.Family{bgp.IPv6Unicast}
}

// capabilities are what goes into the OPEN of a session from a source.
func (c *Config) capabilities(source netip.Addr) []bgp.Capability {
	var caps []bgp.Capability
	for _, f := range c.families(source) {
		caps = append(caps, bgp.Multiprotocol(f))
	}
	caps = append(caps, bgp.Capability{Code: bgp.CapRouteRefresh}, bgp.Capability{Code: bgp.CapExtendedMessage})
	return append(caps, c.Capabilities...)
}

// used lists the families that some session offers.
func (c *Config) used() (fs []bgp.Family) {
	for _, p := range c.prefixes() {
		for _, f := range c.families(p.Addr()) {
			if !slices.Contains(fs, f) {
				fs = append(fs, f)
			}
		}
	}
	return fs
}
