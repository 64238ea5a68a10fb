package router

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// bird is BIRD 2.
type bird struct{}

func (bird) ConfigFile() string { return "bird.conf" }
func (bird) LogFile() string    { return "bird.log" }

func (b bird) Config(p Peering) string {
	var c strings.Builder
	fmt.Fprintf(&c, "log \"%s\" all;\ndebug protocols { states, events };\nrouter id %s;\nprotocol device {}\n", p.file(b.LogFile()), p.ID)
	for _, v4 := range families() {
		fmt.Fprintf(&c, "protocol static own%s {\n\t%[1]s;\n", family(v4))
		for _, a := range p.of(v4) {
			fmt.Fprintf(&c, "\troute %s blackhole%s;\n", a.Prefix, birdCommunities(a))
		}
		c.WriteString("}\n")
	}
	password := ""
	if p.Key != "" {
		password = fmt.Sprintf("\tpassword \"%s\";\n", p.Key)
	}
	fmt.Fprintf(&c, `protocol bgp vip {
	debug { states, events, routes, packets };
	local %s as %d;
	neighbor %s as %d;
	multihop;
	hold time %d;
	keepalive time %d;
	connect delay time 1;
	connect retry time 2;
	error wait time 1, 4;
	graceful restart off;
	enable extended messages yes;
%s`, p.Local, p.AS, p.Remote, p.RemoteAS, int(p.Hold.Seconds()), int(p.Hold.Seconds())/3, password)
	for _, v4 := range families() {
		fmt.Fprintf(&c, "\t%s { import all; export where source = RTS_STATIC; next hop address %s; };\n", family(v4), p.hop(v4))
	}
	return c.String() + "}\n"
}

// birdCommunities is the part of a static route that adds communities.
func birdCommunities(a Announcement) string {
	if len(a.LargeCommunities) == 0 {
		return ""
	}
	var c strings.Builder
	c.WriteString(" {\n")
	for _, l := range a.LargeCommunities {
		fmt.Fprintf(&c, "\t\tbgp_large_community.add((%s));\n", strings.ReplaceAll(l, ":", ", "))
	}
	return c.String() + "\t}"
}

func (b bird) Program(p Peering) Program {
	return Program{Argv: []string{"/usr/sbin/bird", "-f", "-c", p.file(b.ConfigFile()), "-s", p.file("bird.ctl")}, Ready: p.file("bird.ctl")}
}

func (b bird) Check(p Peering) []string {
	return []string{"/usr/sbin/bird", "-p", "-c", p.file(b.ConfigFile())}
}

func (bird) Tell(p Peering, words ...string) []string {
	return append([]string{"/usr/sbin/birdc", "-s", p.file("bird.ctl")}, words...)
}

func (bird) Restart(Peering) []string { return []string{"restart", "vip"} }

func (bird) Capabilities(Peering) Question[[]string] {
	return Question[[]string]{[][]string{{"show", "protocols", "all", "vip"}}, func(answers []string) ([]string, error) {
		return birdCapabilities(answers[0])
	}}
}

// birdCapabilities reads the two lists of `show protocols all`.
func birdCapabilities(answer string) ([]string, error) {
	count := make(map[string]int)
	within := false
	for line := range strings.Lines(answer) {
		text := strings.TrimSpace(line)
		depth := len(line) - len(strings.TrimLeft(line, " "))
		switch {
		case text == "Local capabilities" || text == "Neighbor capabilities":
			within = true
		case within && depth <= 4:
			within = false
		case within:
			if afs, ok := strings.CutPrefix(text, "AF announced: "); ok {
				for _, af := range strings.Fields(afs) {
					count["AF "+af]++
				}
			} else {
				count[text]++
			}
		}
	}
	if len(count) == 0 {
		return nil, fmt.Errorf("BIRD tells of no capabilities: %s", answer)
	}
	var both []string
	for text, name := range map[string]string{
		"AF ipv4": capIPv4, "AF ipv6": capIPv6, "Route refresh": capRefresh, "Enhanced refresh": capEnhanced,
		"Extended message": capExtended, "4-octet AS numbers": capAS4,
	} {
		if count[text] == 2 {
			both = append(both, name)
		}
	}
	slices.Sort(both)
	return both, nil
}

func (bird) Learned(Peering) Question[[]netip.Prefix] {
	return Question[[]netip.Prefix]{[][]string{{"show", "route", "protocol", "vip"}}, func(answers []string) ([]netip.Prefix, error) {
		if !strings.HasPrefix(answers[0], "BIRD ") {
			return nil, fmt.Errorf("BIRD's routes: %s", answers[0])
		}
		var all []netip.Prefix
		for line := range strings.Lines(answers[0]) {
			first, _, _ := strings.Cut(line, " ")
			if p, err := netip.ParsePrefix(first); err == nil {
				all = append(all, p)
			}
		}
		return sorted(all), nil
	}}
}

const birdTime = "2006-01-02 15:04:05.000"

// Read reads a line as `debug protocols { states, events }` has it.
func (bird) Read(line string) (Event, bool) {
	_, text, ok := strings.Cut(line, "> vip: ")
	if !ok {
		return Event{}, false
	}
	e := Event{Kind: Reason, Text: text}
	for _, not := range []string{"State changed", "Got ", "Sending "} {
		if strings.HasPrefix(text, not) {
			return Event{}, false
		}
	}
	switch text {
	case "BGP session established":
		e = Event{Kind: Up}
	case "BGP session closed":
		e = Event{Kind: Down}
	}
	e.At = moment(birdTime, line)
	return e, true
}

// moment reads the local time at the head of a line; zero when there is none.
func moment(layout, line string) time.Time {
	if len(line) < len(layout) {
		return time.Time{}
	}
	at, err := time.ParseInLocation(layout, line[:len(layout)], time.Local)
	if err != nil {
		return time.Time{}
	}
	return at
}
