package router

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// frr is FRR's bgpd alone: no zebra, and nothing goes to the kernel.
type frr struct{}

func (frr) ConfigFile() string { return "frr.conf" }
func (frr) LogFile() string    { return "frr.log" }

func (frr) Config(p Peering) string {
	var c strings.Builder
	fmt.Fprintf(&c, "frr defaults traditional\nlog timestamp precision 3\ndebug bgp updates in\ndebug bgp neighbor-events\n")
	// The next hop is set on the way out: over IPv6 an IPv4 route would have
	// 0.0.0.0 as its own, whatever it was given before.
	for _, v4 := range families() {
		set := map[bool]string{true: "ip next-hop", false: "ipv6 next-hop global"}[v4]
		fmt.Fprintf(&c, "route-map hop-%s permit 1\n set %s %s\n", family(v4), set, p.hop(v4))
	}
	for i, a := range p.Announcements {
		c.WriteString(frrRouteMap(fmt.Sprintf("own-%d", i), a.LargeCommunities))
	}
	fmt.Fprintf(&c, `router bgp %d
 bgp router-id %s
 bgp log-neighbor-changes
 no bgp default ipv4-unicast
 no bgp network import-check
 no bgp ebgp-requires-policy
 neighbor %[3]s remote-as %[4]d
 neighbor %[3]s ebgp-multihop
 neighbor %[3]s update-source %[5]s
 neighbor %[3]s timers %[6]d %[7]d
 neighbor %[3]s timers connect 2
 neighbor %[3]s advertisement-interval 0
`, p.AS, p.ID, p.Remote, p.RemoteAS, p.Local, int(p.Hold.Seconds())/3, int(p.Hold.Seconds()))
	if p.Key != "" {
		fmt.Fprintf(&c, " neighbor %s password %s\n", p.Remote, p.Key)
	}
	for _, v4 := range families() {
		fmt.Fprintf(&c, " address-family %s unicast\n", family(v4))
		for i, a := range p.Announcements {
			if a.Prefix.Addr().Is4() == v4 {
				fmt.Fprintf(&c, "  network %s route-map own-%d\n", a.Prefix, i)
			}
		}
		fmt.Fprintf(&c, "  neighbor %[1]s activate\n  neighbor %[1]s route-map hop-%[2]s out\n exit-address-family\n", p.Remote, family(v4))
	}
	return c.String()
}

// frrLine is how many communities stand in one line, which FRR bounds at 4 KiB.
const frrLine = 150

// frrRouteMap is the route map that gives an announcement its communities.
func frrRouteMap(name string, large []string) string {
	var c strings.Builder
	entry, additive := 1, ""
	for some := range slices.Chunk(large, frrLine) {
		fmt.Fprintf(&c, "route-map %s permit %d\n set large-community %s%s\n on-match next\n", name, entry, strings.Join(some, " "), additive)
		entry, additive = entry+1, " additive"
	}
	fmt.Fprintf(&c, "route-map %s permit %d\n", name, entry)
	return c.String()
}

// frrBGPD is where packages put it: OpenBGPD's program has the same name.
const frrBGPD = "/usr/lib/frr/bgpd"

func (f frr) Program(p Peering) Program {
	return Program{Argv: []string{
		frrBGPD, "-f", p.file(f.ConfigFile()), "-Z", "-n", "-S", "-p", "0", "-P", "0", "-i", p.file("bgpd.pid"),
		"--vty_socket", p.Dir, "--log", "stdout", "--log-level", "debugging",
	}, Ready: p.file("bgpd.vty")}
}

func (f frr) Check(p Peering) []string {
	return []string{frrBGPD, "-C", "-f", p.file(f.ConfigFile()), "-S", "-n", "-Z", "-i", p.file("bgpd.pid"), "--vty_socket", p.Dir}
}

// Tell has each word be a whole command.
func (frr) Tell(p Peering, words ...string) []string {
	argv := []string{"/usr/bin/vtysh", "--vty_socket", p.Dir}
	for _, w := range words {
		argv = append(argv, "-c", w)
	}
	return argv
}

func (frr) Restart(p Peering) []string { return []string{fmt.Sprintf("clear bgp %s", p.Remote)} }

func (frr) Capabilities(p Peering) Question[[]string] {
	ask := fmt.Sprintf("show bgp neighbors %s json", p.Remote)
	return Question[[]string]{[][]string{{ask}}, func(answers []string) ([]string, error) { return frrCapabilities(answers[0]) }}
}

// frrCapabilities reads the neighborCapabilities of `show bgp neighbors json`:
// texts, and objects with an entry for each family.
func frrCapabilities(answer string) ([]string, error) {
	var neighbors map[string]struct {
		Capabilities map[string]any `json:"neighborCapabilities"`
	}
	if err := json.Unmarshal(object(answer), &neighbors); err != nil {
		return nil, fmt.Errorf("FRR's neighbors: %w: %s", err, answer)
	}
	var both []string
	for _, n := range neighbors {
		for key, name := range map[string]string{
			"4byteAs": capAS4, "extendedMessage": capExtended, "routeRefresh": capRefresh, "enhancedRouteRefresh": capEnhanced,
		} {
			// routeRefresh may be of the old code too: advertisedAndReceivedNew.
			if text, ok := n.Capabilities[key].(string); ok && strings.HasPrefix(text, "advertisedAndReceived") {
				both = append(both, name)
			}
		}
		families, _ := n.Capabilities["multiprotocolExtensions"].(map[string]any)
		for key, name := range map[string]string{"ipv4Unicast": capIPv4, "ipv6Unicast": capIPv6} {
			if of, ok := families[key].(map[string]any); ok && of["advertisedAndReceived"] == true {
				both = append(both, name)
			}
		}
	}
	slices.Sort(both)
	return both, nil
}

func (frr) Learned(p Peering) Question[[]netip.Prefix] {
	var ask []string // of one vtysh: it takes long to start
	for _, v4 := range families() {
		ask = append(ask, fmt.Sprintf("show bgp %s unicast neighbors %s routes json", family(v4), p.Remote))
	}
	return Question[[]netip.Prefix]{[][]string{ask}, func(answers []string) ([]netip.Prefix, error) { return frrRoutes(answers[0]) }}
}

// frrRoutes reads the tables of all families, one after the other.
func frrRoutes(answer string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	d := json.NewDecoder(bytes.NewReader(object(answer)))
	for range families() {
		var table struct {
			Routes map[netip.Prefix]any `json:"routes"`
		}
		if err := d.Decode(&table); err != nil {
			return nil, fmt.Errorf("FRR's routes: %w: %s", err, answer)
		}
		all = slices.AppendSeq(all, maps.Keys(table.Routes))
	}
	return sorted(all), nil
}

// object is a JSON object without what a program says before it.
func object(answer string) []byte {
	return []byte(answer[max(0, strings.IndexByte(answer, '{')):])
}

const frrTime = "2006/01/02 15:04:05.000"

// Read reads a line as `bgp log-neighbor-changes` has it.
func (frr) Read(line string) (Event, bool) {
	at := moment(frrTime, line)
	if _, text, ok := strings.Cut(line, "%NOTIFICATION: "); ok {
		return Event{At: at, Kind: Reason, Text: text}, true
	}
	_, text, ok := strings.Cut(line, "%ADJCHANGE: ")
	if !ok {
		return Event{}, false
	}
	_, text, _ = strings.Cut(text, " in vrf default ")
	if text == "Up" {
		return Event{At: at, Kind: Up}, true
	}
	return Event{At: at, Kind: Down, Text: strings.TrimPrefix(text, "Down ")}, true
}
