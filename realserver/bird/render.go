package bird

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/peerage/peerage/realserver"
)

const (
	// revisionSymbol is a constant in the configuration: reading it back tells
	// which one BIRD runs, and that BIRD is ours.
	revisionSymbol = "peerage_realserver_revision"
	// importLimit bounds the routes that one session may bring, twice a full
	// table. What is beyond is not taken; the session stays.
	importLimit = 2_000_000
	// maxSymbol is the longest symbol that BIRD takes.
	maxSymbol = 63
)

// rendered is a configuration with what identifies it.
type rendered struct {
	// text holds the keys: it goes to the file and nowhere else.
	text     []byte
	revision string
	groups   map[string]*group // by name
	// skipped are the groups that could not be configured, by name.
	skipped map[string]error
	// routes are what operators originate, which BIRD is not told.
	routes  int
	secrets []string
}

// render writes the configuration. The same input gives the same bytes.
func render(cfg realserver.SpeakerConfig, logFile string, secret func(string) (string, error), optmem int) (*rendered, error) {
	if !cfg.RouterID.Is4() {
		return nil, fmt.Errorf("router id %s: must have the form of an IPv4 address", cfg.RouterID)
	}
	if strings.ContainsAny(logFile, "\"\n") {
		return nil, fmt.Errorf("log file %q: BIRD's configuration cannot hold the name", logFile)
	}
	cfg, refused := flatten(cfg)
	groups := groupsOf(cfg)
	problems := readKeys(groups, secret, optmem)
	for _, g := range groups {
		if err := refused[neighborKey{g.pool, g.neighbor}]; err != nil {
			problems[g] = err
		}
	}
	r := &rendered{groups: map[string]*group{}, skipped: map[string]error{}, routes: len(cfg.Routes)}
	var b strings.Builder
	head(&b, cfg, logFile)
	for _, s := range cfg.Services {
		service(&b, s)
	}
	for _, g := range groups {
		r.groups[g.name] = g
		if err := problems[g]; err != nil {
			r.skipped[g.name] = err
			continue
		}
		if g.key != "" {
			r.secrets = append(r.secrets, g.key)
		}
		g.render(&b)
	}
	sum := sha256.Sum256([]byte(b.String()))
	revision := binary.BigEndian.Uint32(sum[:4]) &^ (1 << 31)
	r.revision = fmt.Sprint(revision)
	r.text = fmt.Appendf(nil, "# Written by peerage-realserver; changes are overwritten.\ndefine %s = %d;\n%s", revisionSymbol, revision, b.String())
	return r, nil
}

// head is what all services share. The class "remote" is not logged: each
// health check ends with a NOTIFICATION, which BIRD would tell every second;
// the driver logs the ends of sessions itself.
//
// The tables for the resolution of next hops are empty: customers' routes are
// collected, not forwarded by, and must not resolve one through the other.
func head(b *strings.Builder, cfg realserver.SpeakerConfig, logFile string) {
	target := "syslog"
	if logFile != "" {
		target = `"` + logFile + `"`
	}
	fmt.Fprintf(b, `log %s { info, warning, error, auth, fatal, bug };
router id %s;
protocol device { }
ipv4 table peerage_unresolved4;
ipv6 table peerage_unresolved6;

template bgp peerage_probe {
  passive yes;
  multihop;
  strict bind yes;
  free bind yes;
  startup hold time 5;
  error wait time 1, 1;
  ipv4 { table peerage_unresolved4; import none; export none; };
  ipv6 { table peerage_unresolved6; import none; export none; };
}
`, target, cfg.RouterID)
}

// service is what the protocols of one pool share. Customers may be any number
// of hops away. They never hear of one another: nothing is exported.
//
// An error makes BIRD refuse the router's next connection for a time that is a
// minute by default, and so does, for four minutes, a connection on which no
// OPEN came: a passive speaker has no reason for either.
//
// BIRD restarts a session when its protocol changes: an upgrade that writes
// anything else here ends them all.
func service(b *strings.Builder, s realserver.Service) {
	name := symbol(s.Pool)
	fmt.Fprintf(b, "\n# pool %s\nipv4 table %s_4;\nipv6 table %s_6;\ntemplate bgp %s {\n", s.Pool, name, name, name)
	fmt.Fprintf(b, "  passive yes;\n  multihop;\n  strict bind yes;\n  free bind yes;\n  hold time %d;\n  startup hold time 30;\n  error wait time 1, 1;\n",
		int(time.Duration(s.HoldTime)/time.Second))
	for _, family := range []string{"4", "6"} {
		fmt.Fprintf(b, "  ipv%[1]s { table %[2]s_%[1]s; igp table peerage_unresolved%[1]s; import all; import limit %[3]d action block; export none; };\n",
			family, name, importLimit)
	}
	b.WriteString("}\n")
}

// symbol is a name of BIRD's for a pool. A DNS label has no underscore, so
// that no two share one; one that is too long is cut and told apart by a hash.
func symbol(pool string) string {
	const longest = maxSymbol - len("_4")
	name := "pool_" + strings.ReplaceAll(pool, "-", "_")
	if len(name) <= longest {
		return name
	}
	sum := sha256.Sum256([]byte(pool))
	return name[:longest-9] + "_" + hex.EncodeToString(sum[:4])
}

func (g *group) render(b *strings.Builder) {
	template := "peerage_probe"
	if !g.probe() {
		template = symbol(g.pool)
	}
	fmt.Fprintf(b, "\nprotocol bgp %s from %s {\n", g.name, template)
	fmt.Fprintf(b, "  description \"pool %s, %s\";\n", g.pool, cmp.Or(g.neighbor, "health checks"))
	fmt.Fprintf(b, "  local %s port %d as %d;\n", g.listener.Addr(), g.listener.Port(), g.localAS)
	fmt.Fprintf(b, "  neighbor %s port %d %s;\n", g.source(), g.lockPort, g.remoteAS())
	if g.dynamic() {
		fmt.Fprintf(b, "  dynamic name \"%s_\";\n", g.name)
	}
	if g.key != "" {
		fmt.Fprintf(b, "  password \"%s\";\n", g.key)
	}
	b.WriteString("}\n")
}

func (g *group) source() string {
	if g.dynamic() {
		return "range " + netip.Prefix.String(g.prefix)
	}
	return g.prefix.Addr().String()
}

func (g *group) remoteAS() string {
	if g.as == 0 {
		return "external"
	}
	return fmt.Sprintf("as %d", g.as)
}
