package bird

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/peerage/peerage/api"
)

// The names of what is ours in BIRD. Everything else in its configuration is
// the site's and is not touched.
const (
	prefix         = "peerage_"
	staticV4       = "peerage4"
	staticV6       = "peerage6"
	tableV4        = prefix + "vips4"
	tableV6        = prefix + "vips6"
	medAttribute   = prefix + "med"
	revisionSymbol = prefix + "revision"
	// description begins the description of our BGP protocols; the name of the
	// peer follows.
	description = "peerage fabric "

	// maxSymbol is the longest symbol that BIRD takes.
	maxSymbol = 63

	defaultHoldTime      = 90 * time.Second
	defaultBFDInterval   = 200 * time.Millisecond
	defaultBFDMultiplier = 3
)

// Rendered is an include file with what identifies it.
type Rendered struct {
	// Text holds the TCP-MD5 keys. It goes to the file and nowhere else.
	Text []byte
	// Revision can be read back from a BIRD that runs the file.
	Revision uint32
	// Secrets are the keys in Text, to keep BIRD's messages clean of them.
	Secrets []string
}

// SecretFunc returns the TCP-MD5 key of a name.
type SecretFunc func(name string) (string, error)

// Render writes the include file. The same input gives the same bytes.
//
// The VIPs live in tables of our own, so that nothing of the site's own
// protocols can pick them up or be announced by us. They carry their MED in an
// attribute of our own and the export filter copies it: BIRD 2.0.12 loses a
// bgp_med that was set on a static route.
func Render(c Config, secret SecretFunc) (Rendered, error) {
	var r Rendered
	keys := make([]string, len(c.Fabric.Peers))
	for i, p := range c.Fabric.Peers {
		if p.MD5Secret == "" {
			continue
		}
		key, err := secret(p.MD5Secret)
		if err != nil {
			return Rendered{}, fmt.Errorf("fabric peer %s: md5Secret %q: %w", p.Name, p.MD5Secret, err)
		}
		if err := checkKey(key); err != nil {
			return Rendered{}, fmt.Errorf("fabric peer %s: md5Secret %q: %w", p.Name, p.MD5Secret, err)
		}
		keys[i] = key
		r.Secrets = append(r.Secrets, key)
	}

	var b strings.Builder
	renderRoutes(&b, c.Routes)
	renderBFD(&b, c.Fabric)
	for i, p := range c.Fabric.Peers {
		if err := renderPeer(&b, c, p, keys[i]); err != nil {
			return Rendered{}, err
		}
	}
	stamped := stamp(b.String())
	stamped.Secrets = r.Secrets
	return stamped, nil
}

// revision is a positive int of BIRD's that stands for the text.
func revision(text string) uint32 {
	sum := sha256.Sum256([]byte(text))
	return binary.BigEndian.Uint32(sum[:4]) &^ (1 << 31)
}

// checkKey refuses what cannot stand in a string of BIRD's, which knows no
// escapes.
func checkKey(key string) error {
	for _, r := range key {
		if r == '"' || r < ' ' || r > '~' {
			return fmt.Errorf("the key holds a character that BIRD's configuration cannot: use printable ASCII without \"")
		}
	}
	return nil
}

func renderRoutes(b *strings.Builder, routes map[netip.Addr]uint32) {
	fmt.Fprintf(b, "\nattribute int %s;\nipv4 table %s;\nipv6 table %s;\n", medAttribute, tableV4, tableV6)
	vips := slices.SortedFunc(maps.Keys(routes), netip.Addr.Compare)
	for _, f := range []struct {
		proto, family, table string
		is4                  bool
	}{{staticV4, "ipv4", tableV4, true}, {staticV6, "ipv6", tableV6, false}} {
		fmt.Fprintf(b, "\nprotocol static %s {\n  %s { table %s; };\n", f.proto, f.family, f.table)
		for _, vip := range vips {
			if vip.Is4() == f.is4 {
				fmt.Fprintf(b, routeLine+"%s/%d blackhole { %s = %d; };\n", vip, vip.BitLen(), medAttribute, routes[vip])
			}
		}
		b.WriteString("}\n")
	}
	fmt.Fprintf(b, `
filter %[1]sexport {
  if proto != "%[2]s" && proto != "%[3]s" then reject;
  bgp_med = %[4]s;
  accept;
}
`, prefix, staticV4, staticV6, medAttribute)
}

func renderBFD(b *strings.Builder, f api.Fabric) {
	if !slices.ContainsFunc(f.Peers, usesBFD) {
		return
	}
	fmt.Fprintf(b, "\nprotocol bfd %sbfd {\n  interface \"*\" { %s };\n}\n", prefix, bfdTimers(f.BFD))
}

func renderPeer(b *strings.Builder, c Config, p api.FabricPeer, key string) error {
	local, ok := ownAddress(c.Addresses, p.Address)
	if !ok {
		return fmt.Errorf("fabric peer %s: the load balancer has no address of the family of %s; add one to spec.addresses", p.Name, p.Address)
	}
	routerID := c.Fabric.RouterID
	if !routerID.IsValid() {
		routerID, _ = ownAddress(c.Addresses, netip.IPv4Unspecified())
	}
	if !routerID.Is4() {
		return fmt.Errorf("fabric peer %s: no router id: set spec.fabric.routerID, or give the load balancer an IPv4 address", p.Name)
	}
	fmt.Fprintf(b, "\nprotocol bgp %s {\n  description \""+description+"%s\";\n", protocolName(p.Name), p.Name)
	fmt.Fprintf(b, "  router id %s;\n  local %s as %d;\n  neighbor %s as %d;\n", routerID, local, c.Fabric.LocalAS, p.Address, p.AS)
	fmt.Fprintf(b, "  hold time %d;\n  connect delay time 1;\n  connect retry time 5;\n  error wait time 1, 10;\n",
		int(cmp.Or(time.Duration(p.HoldTime), defaultHoldTime)/time.Second))
	// With graceful restart the fabric would keep sending to an LB that died.
	b.WriteString("  graceful restart off;\n  long lived graceful restart off;\n")
	if usesBFD(p) {
		fmt.Fprintf(b, "  bfd { %s };\n", bfdTimers(c.Fabric.BFD))
	}
	if key != "" {
		fmt.Fprintf(b, "  password \"%s\";\n", key)
	}
	family, table := "ipv4", tableV4
	if !p.Address.Is4() {
		family, table = "ipv6", tableV6
	}
	fmt.Fprintf(b, "  %s {\n    table %s;\n    import none;\n    export filter %sexport;\n    next hop self;\n  };\n}\n", family, table, prefix)
	return nil
}

func usesBFD(p api.FabricPeer) bool { return p.BFD == nil || *p.BFD }

func bfdTimers(f api.BFD) string {
	interval := cmp.Or(time.Duration(f.Interval), defaultBFDInterval).Milliseconds()
	return fmt.Sprintf("min rx interval %d ms; min tx interval %d ms; multiplier %d;",
		interval, interval, cmp.Or(f.Multiplier, defaultBFDMultiplier))
}

// ownAddress is the address of the family of other.
func ownAddress(own []netip.Addr, other netip.Addr) (netip.Addr, bool) {
	for _, a := range own {
		if a.Is4() == other.Is4() {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// protocolName is the BIRD symbol of a fabric peer. A DNS label has no
// underscore, so that no two peers share one; a label that is too long for
// BIRD is cut and told apart by a hash.
func protocolName(peer string) string {
	name := prefix + "bgp_" + strings.ReplaceAll(peer, "-", "_")
	if len(name) <= maxSymbol {
		return name
	}
	sum := sha256.Sum256([]byte(peer))
	return name[:maxSymbol-9] + "_" + hex.EncodeToString(sum[:4])
}
