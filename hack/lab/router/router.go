// Package router knows the makes of BGP routers that customers have in the
// lab, each the real program: how one is configured, started and told to do
// something, and how its answers and its log are read.
package router

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Make names a make of router, and its program among those of a node.
type Make string

// The makes.
const (
	BIRD  Make = "bird"
	FRR   Make = "frr"
	GoBGP Make = "gobgp"
)

// Makes lists all of them.
func Makes() []Make { return []Make{BIRD, FRR, GoBGP} }

// Peering is the one session of a router, and where the router keeps its files.
type Peering struct {
	// Dir is the folder of configuration, control socket and log, Bin that of
	// programs that no package brings.
	Dir, Bin string
	// ID is the BGP identifier.
	ID            netip.Addr
	Local, Remote netip.Addr
	AS, RemoteAS  uint32
	Hold          time.Duration
	Key           string // of TCP-MD5; empty: the session is not signed
	Announcements []Announcement
	// NextHop4 and NextHop6 are those of what is announced.
	NextHop4, NextHop6 netip.Addr
}

// Announcement is a route that a router announces.
type Announcement struct {
	Prefix           netip.Prefix
	LargeCommunities []string // A:B:C
}

// Program is a router's program.
type Program struct {
	Argv []string
	// Ready is a file that it makes when it can be told something.
	Ready string
	// After are commands to run then.
	After [][]string
}

// Event is what a line of a router's log says of the session.
type Event struct {
	At   time.Time
	Kind Kind
	// Text is why a session went, or will go, down.
	Text string
}

// Kind is what happened to a session.
type Kind int

// The kinds: it came up; it went down; it will go down, if it does, for this
// reason.
const (
	Up Kind = iota
	Down
	Reason
)

// Question is something to ask a router: what to tell it, once or several
// times, and how to read all that it answers.
type Question[T any] struct {
	Tell [][]string
	Read func(answers []string) (T, error)
}

// Router is a make of router.
type Router interface {
	// Config is the text of the configuration file, which is named ConfigFile.
	Config(Peering) string
	ConfigFile() string
	Program(Peering) Program
	// Check is a command that reads the configuration and does nothing.
	Check(Peering) []string
	// Tell is the command that tells a running router something, in the words
	// of its own control program.
	Tell(p Peering, words ...string) []string
	// Restart are the words that make the router connect anew.
	Restart(Peering) []string
	// Capabilities are those that both ends of the session offered, named as
	// peeragectl names them, sorted.
	Capabilities(Peering) Question[[]string]
	// Learned are the prefixes that the session brought, sorted.
	Learned(Peering) Question[[]netip.Prefix]
	// Read reads a line of the log, the file LogFile; ok is false when it is
	// not about the session going up or down.
	Read(line string) (e Event, ok bool)
	LogFile() string
}

// Check refuses a make that is not known.
func (m Make) Check() error {
	if !slices.Contains(Makes(), m) {
		return fmt.Errorf("router %q is not known: want one of %q", m, Makes())
	}
	return nil
}

// Router is the router of a make; of one that is not known, BIRD.
func (m Make) Router() Router {
	switch m {
	case FRR:
		return frr{}
	case GoBGP:
		return gobgp{}
	case BIRD:
	}
	return bird{}
}

// hop is the next hop of announcements of a family.
func (p Peering) hop(v4 bool) netip.Addr {
	if v4 {
		return p.NextHop4
	}
	return p.NextHop6
}

// of are the announcements of a family.
func (p Peering) of(v4 bool) []Announcement {
	return slices.DeleteFunc(slices.Clone(p.Announcements), func(a Announcement) bool { return a.Prefix.Addr().Is4() != v4 })
}

func (p Peering) file(name string) string { return p.Dir + "/" + name }

// families are both of them, as true for IPv4.
func families() []bool { return []bool{true, false} }

func family(v4 bool) string {
	if v4 {
		return "ipv4"
	}
	return "ipv6"
}

// The names of capabilities, as peeragectl has them.
const (
	capIPv4     = "multiprotocol(ipv4-unicast)"
	capIPv6     = "multiprotocol(ipv6-unicast)"
	capRefresh  = "route-refresh"
	capEnhanced = "enhanced-refresh"
	capExtended = "extended-message"
	capAS4      = "four-octet-as"
)

// sorted sorts prefixes, each of them once.
func sorted(all []netip.Prefix) []netip.Prefix {
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}
