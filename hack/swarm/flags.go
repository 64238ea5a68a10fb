package swarm

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/peerage/peerage/realserver/bgp"
)

// options are the flags of the command.
type options struct {
	targets, from         []string
	sessions              int
	as                    string
	peerAS                uint32
	hold                  time.Duration
	families, caps        []string
	md5File               string
	md5Share              float64
	md5From               []string
	profile               string
	rate, inFlight        int
	announce, churn       string
	seed                  uint64
	addRoutes             string
	own                   bool
	output                string
	records, changes, svg string
	control               string

	// Of the plain command; a scenario has phases instead.
	duration, settle time.Duration
	expect           []string
}

func (o *options) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&o.targets, "target", nil, "addresses and ports to connect to; each source family needs one")
	f.StringSliceVar(&o.from, "from", nil, "prefixes of the source addresses, used in turn")
	f.StringVar(&o.addRoutes, "add-routes", "", "make the source prefixes local to this interface, such as lo, until the end; needs root and iproute2")
	f.IntVar(&o.sessions, "sessions", 100, fmt.Sprintf("how many sessions, 1 to %d", MaxSessions))
	f.StringVar(&o.as, "as", "65001", "AS number of the sessions, or a range such as 64512-65534 used in turn")
	f.Uint32Var(&o.peerAS, "peer-as", 0, "AS number that the target must have; 0 takes any")
	f.DurationVar(&o.hold, "hold-time", 90*time.Second, "hold time to offer: 0, or 3s to 65535s")
	f.StringSliceVar(&o.families, "families", nil, "families that every session offers: ipv4, ipv6 or both; by default the one of its source")
	f.StringSliceVar(&o.caps, "capability", nil, "further capability to offer, as CODE or CODE:HEX, such as 64:0078")
	f.StringVar(&o.md5File, "md5-key-file", "", "file with the TCP-MD5 key")
	f.Float64Var(&o.md5Share, "md5-share", 1, "share of the sessions that use the key, 0 to 1")
	f.StringSliceVar(&o.md5From, "md5-from", nil, "prefixes of the sources of sessions that use the key; without it they are like all others")
	f.StringVar(&o.profile, "profile", "cisco-like", "how sessions reconnect: cisco-like, junos-like or eager")
	f.IntVar(&o.rate, "rate", DefaultRate, "connections to open per second at most, reconnections included")
	f.IntVar(&o.inFlight, "in-flight", DefaultInFlight, "sessions that come up for the first time at once; 0 is no bound")
	f.StringVar(&o.announce, "announce", "nothing", "nothing, default, k=N (prefixes of each session's own), full=N (a synthetic table) or mrt=FILE (TABLE_DUMP_V2, also .gz and .bz2)")
	f.StringVar(&o.churn, "churn", "", "routes to withdraw or announce again, such as 100/s, by all sessions in turn")
	f.Uint64Var(&o.seed, "seed", 0, "makes the jitter and the synthetic table repeatable")
	f.BoolVar(&o.own, "i-own-this-network", false, "allow targets with public addresses")
	f.StringVarP(&o.output, "output", "o", "table", "report as table or json")
	f.StringVar(&o.records, "records", "", "file for one JSON line per session, written at the end")
	f.StringVar(&o.changes, "changes", "", "file for one JSON line per change of state, as it happens")
	f.StringVar(&o.control, "control", "", "socket to answer on while it runs; see peerage-swarm status --help")
	f.StringVar(&o.svg, "histogram", "", "file for a histogram of the outages: .svg, .png or .txt")
}

// runFlags are those that a scenario replaces by phases.
func (o *options) runFlags(f *pflag.FlagSet) {
	f.DurationVar(&o.duration, "duration", 0, "how long to run; 0 until interrupted")
	f.DurationVar(&o.settle, "until-established", 0, "fail unless all sessions are up within this time; the expectations count from then on")
	f.StringArrayVar(&o.expect, "expect", nil, "condition at the end, such as 'flapped==0' or 'outage.p99<3s'; sets the exit code")
}

// config checks the flags.
func (o *options) config() (Config, error) {
	cfg := Config{
		Sessions: o.sessions, PeerAS: o.peerAS, HoldTime: o.hold, MD5Share: o.md5Share,
		Rate: o.rate, InFlight: o.inFlight, Seed: o.seed,
	}
	var errs []error
	check := func(err error) { errs = append(errs, err) }
	check(o.addresses(&cfg))
	var err error
	cfg.Profile, err = ProfileByName(o.profile)
	check(err)
	cfg.FirstAS, cfg.ASes, err = parseASRange(o.as)
	check(err)
	cfg.Families, err = parseFamilies(o.families)
	check(err)
	cfg.Capabilities, err = parseCapabilities(o.caps)
	check(err)
	cfg.Churn, err = parseChurn(o.churn)
	check(err)
	if o.md5File != "" {
		key, err := os.ReadFile(o.md5File)
		check(err)
		if cfg.MD5 = strings.TrimRight(string(key), "\r\n"); cfg.MD5 == "" && err == nil {
			check(fmt.Errorf("key file %s is empty", o.md5File))
		}
	}
	if o.output != "table" && o.output != "json" {
		check(fmt.Errorf("output %q: use table or json", o.output))
	}
	check(histogramName(o.svg))
	if err := errors.Join(errs...); err != nil {
		return cfg, err
	}
	cfg.Table, err = ParseAnnouncement(o.announce, o.seed, cfg.used()...)
	return cfg, err
}

// addresses reads the targets and the sources.
func (o *options) addresses(cfg *Config) error {
	var errs []error
	for _, t := range o.targets {
		a, err := netip.ParseAddrPort(t)
		switch {
		case err != nil || a.Port() == 0:
			errs = append(errs, fmt.Errorf("target %q: write ADDRESS:PORT, or [ADDRESS]:PORT for IPv6", t))
			continue
		case !o.own && !rehearsal(a.Addr().Unmap()):
			errs = append(errs, fmt.Errorf("target %s is not a private address; pass --i-own-this-network if it is yours to test", a))
		}
		cfg.Targets = append(cfg.Targets, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
	}
	var err error
	cfg.From, err = parsePrefixes(o.from)
	errs = append(errs, err)
	cfg.MD5From, err = parsePrefixes(o.md5From)
	return errors.Join(append(errs, err)...)
}

func parsePrefixes(texts []string) (ps []netip.Prefix, err error) {
	var errs []error
	for _, t := range texts {
		p, err := netip.ParsePrefix(t)
		if err != nil {
			errs = append(errs, fmt.Errorf("source %q: write a prefix such as 192.0.2.0/24", t))
			continue
		}
		ps = append(ps, p)
	}
	return ps, errors.Join(errs...)
}

// rehearsal tells whether an address is safe to fire at unasked: loopback,
// private (RFC 1918, 4193), link-local, for benchmarks (RFC 2544, 5180) or for
// documentation (RFC 5737, 3849, 9637).
func rehearsal(a netip.Addr) bool {
	if a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() {
		return true
	}
	for _, p := range []string{
		"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15",
		"2001:db8::/32", "3fff::/20", "2001:2::/48",
	} {
		if netip.MustParsePrefix(p).Contains(a) {
			return true
		}
	}
	return false
}

func parseASRange(text string) (first, count uint32, err error) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	a, errA := strconv.ParseUint(from, 10, 32)
	b, errB := strconv.ParseUint(to, 10, 32)
	if errA != nil || errB != nil || a == 0 || b < a {
		return 0, 0, fmt.Errorf("AS %q: write a number such as 65001, or a range such as 64512-65534", text)
	}
	return uint32(a), uint32(b - a + 1), nil
}

func parseFamilies(names []string) (fs []bgp.Family, err error) {
	for _, n := range names {
		switch n {
		case "ipv4":
			fs = append(fs, bgp.IPv4Unicast)
		case "ipv6":
			fs = append(fs, bgp.IPv6Unicast)
		default:
			return nil, fmt.Errorf("family %q is not known; the families are ipv4 and ipv6", n)
		}
	}
	return fs, nil
}

func parseCapabilities(texts []string) (cs []bgp.Capability, err error) {
	for _, t := range texts {
		code, value, _ := strings.Cut(t, ":")
		n, errN := strconv.ParseUint(code, 10, 8)
		v, errV := hex.DecodeString(value)
		if errN != nil || errV != nil || len(v) > 255 {
			return nil, fmt.Errorf("capability %q: write CODE or CODE:HEX, such as 64:0078", t)
		}
		cs = append(cs, bgp.Capability{Code: bgp.CapabilityCode(n), Value: v})
	}
	return cs, nil
}

func parseChurn(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(strings.TrimSuffix(text, "/s"))
	if err != nil || n < 0 {
		return 0, fmt.Errorf("churn %q: write routes per second, such as 100/s", text)
	}
	return n, nil
}
