package router

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// gobgp is GoBGP's gobgpd. It reads no routes from its configuration: they are
// told to it.
type gobgp struct{}

func (gobgp) ConfigFile() string { return "gobgp.toml" }
func (gobgp) LogFile() string    { return "gobgp.log" }

func (gobgp) Config(p Peering) string {
	var c strings.Builder
	fmt.Fprintf(&c, `[global.config]
  as = %d
  router-id = "%s"
  port = -1
[[neighbors]]
  [neighbors.config]
    neighbor-address = "%s"
    peer-as = %d
    auth-password = "%s"
  [neighbors.transport.config]
    local-address = "%s"
  [neighbors.ebgp-multihop.config]
    enabled = true
    multihop-ttl = 64
  [neighbors.timers.config]
    hold-time = %d
    keepalive-interval = %d
    connect-retry = 2
    idle-hold-time-after-reset = 1
`, p.AS, p.ID, p.Remote, p.RemoteAS, p.Key, p.Local, int(p.Hold.Seconds()), int(p.Hold.Seconds())/3)
	for _, v4 := range families() {
		fmt.Fprintf(&c, "  [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      afi-safi-name = \"%s-unicast\"\n", family(v4))
	}
	return c.String()
}

func (g gobgp) Program(p Peering) Program {
	program := Program{Argv: []string{
		p.Bin + "/gobgpd", "-f", p.file(g.ConfigFile()), "--cpus", "1", "--api-hosts", "unix://" + p.file("gobgp.sock"),
		"--pprof-disable", "--metrics-path=", "-l", "debug",
	}, Ready: p.file("gobgp.sock")}
	for _, a := range p.Announcements {
		v4 := a.Prefix.Addr().Is4()
		words := []string{"global", "rib", "-a", family(v4), "add", a.Prefix.String(), "origin", "igp", "nexthop", p.hop(v4).String()}
		if len(a.LargeCommunities) > 0 {
			words = append(words, "large-community", strings.Join(a.LargeCommunities, ","))
		}
		program.After = append(program.After, g.Tell(p, words...))
	}
	return program
}

func (g gobgp) Check(p Peering) []string {
	return []string{p.Bin + "/gobgpd", "-d", "-f", p.file(g.ConfigFile()), "--pprof-disable", "--metrics-path="}
}

func (gobgp) Tell(p Peering, words ...string) []string {
	return append([]string{p.Bin + "/gobgp", "--target", "unix://" + p.file("gobgp.sock")}, words...)
}

func (gobgp) Restart(p Peering) []string { return []string{"neighbor", p.Remote.String(), "reset"} }

func (gobgp) Capabilities(p Peering) Question[[]string] {
	return Question[[]string]{[][]string{{"-j", "neighbor", p.Remote.String()}}, func(answers []string) ([]string, error) {
		return gobgpCapabilities(answers[0])
	}}
}

// gobgpCapability has one key, its kind.
type gobgpCapability struct {
	Cap map[string]struct {
		Family struct{ AFI, SAFI int }
	}
}

// gobgpCapabilities reads what either side offered.
func gobgpCapabilities(answer string) ([]string, error) {
	var n struct {
		State struct {
			Local  []gobgpCapability `json:"local_cap"`
			Remote []gobgpCapability `json:"remote_cap"`
		}
	}
	if err := json.Unmarshal([]byte(answer), &n); err != nil {
		return nil, fmt.Errorf("GoBGP's neighbor: %w: %s", err, answer)
	}
	ours, theirs := gobgpNames(n.State.Local), gobgpNames(n.State.Remote)
	var both []string
	for name := range ours {
		if theirs[name] {
			both = append(both, name)
		}
	}
	slices.Sort(both)
	return both, nil
}

func gobgpNames(offered []gobgpCapability) map[string]bool {
	names := map[string]string{"FourOctetAsn": capAS4, "RouteRefresh": capRefresh, "EnhancedRouteRefresh": capEnhanced, "ExtendedMessage": capExtended}
	all := make(map[string]bool)
	for _, c := range offered {
		for kind, value := range c.Cap {
			switch {
			case names[kind] != "":
				all[names[kind]] = true
			case kind == "MultiProtocol" && value.Family.AFI == 1 && value.Family.SAFI == 1:
				all[capIPv4] = true
			case kind == "MultiProtocol" && value.Family.AFI == 2 && value.Family.SAFI == 1:
				all[capIPv6] = true
			}
		}
	}
	return all
}

func (gobgp) Learned(p Peering) Question[[]netip.Prefix] {
	var ask [][]string
	for _, v4 := range families() {
		ask = append(ask, []string{"-j", "neighbor", p.Remote.String(), "adj-in", "-a", family(v4)})
	}
	return Question[[]netip.Prefix]{ask, func(answers []string) ([]netip.Prefix, error) {
		var all []netip.Prefix
		for _, answer := range answers {
			var table map[netip.Prefix]any
			if err := json.Unmarshal([]byte(answer), &table); err != nil {
				return nil, fmt.Errorf("GoBGP's routes: %w: %s", err, answer)
			}
			all = slices.AppendSeq(all, maps.Keys(table))
		}
		return sorted(all), nil
	}}
}

// Read reads a line of JSON.
func (gobgp) Read(line string) (Event, bool) {
	var l struct {
		Time   time.Time
		Msg    string
		Reason string
		Told   string `json:"Communicated-Reason"`
	}
	if json.Unmarshal([]byte(line), &l) != nil {
		return Event{}, false
	}
	switch l.Msg {
	case "Peer Up":
		return Event{At: l.Time, Kind: Up}, true
	case "Peer Down":
		return Event{At: l.Time, Kind: Down, Text: l.Reason}, true
	case "received notification":
		return Event{At: l.Time, Kind: Reason, Text: l.Msg + " " + l.Told}, true
	}
	return Event{}, false
}
