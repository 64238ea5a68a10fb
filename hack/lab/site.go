package lab

import (
	"fmt"
	"strings"
)

// Site is the configuration that an operator of this site would keep in Git,
// for `peeragectl apply -f`.
func (t Topology) Site() string {
	var b strings.Builder
	object := func(kind, name, spec string, args ...any) {
		if b.Len() > 0 {
			b.WriteString("---\n")
		}
		fmt.Fprintf(&b, "apiVersion: peerage/v1\nkind: %s\nmetadata: {name: %s}\nspec:\n", kind, name)
		fmt.Fprintf(&b, spec, args...)
	}
	object("Settings", "site", `  leaseTTL: %s
  observeInterval: %s
  connSync: {id: 7, refreshPeriod: %s, warmup: %s}
`, t.Timers.LeaseTTL, t.Timers.Observe, t.Timers.Refresh, t.Timers.Warmup)

	r := t.RouterNode()
	for _, n := range t.LBNodes() {
		object("LoadBalancer", n.Name, `  addresses: [%s, "%s"]
  interface: eth0
  fabric:
    localAS: %d
    bfd: {interval: %s, multiplier: 3}
    peers:
      - {name: %s-v4, address: %s, as: %d, holdTime: 9s}
      - {name: %[5]s-v6, address: "%[8]s", as: %[7]d, holdTime: 9s}
`, n.Addr(true), n.Addr(false), FabricAS, t.Timers.BFD, Router, r.Addr(true), RouterAS, r.Addr(false))
	}
	var names []string
	for _, n := range t.RealServerNodes() {
		names = append(names, n.Name)
		object("RealServer", n.Name, "  addresses: [%s, \"%s\"]\n", n.Addr(true), n.Addr(false))
	}
	var vips []string
	for _, vip := range t.Pool.VIPs {
		vips = append(vips, fmt.Sprintf("%q", vip))
	}
	object("Pool", t.Pool.Name, `  vips: [%s]
  realServers: [%s]
  healthCheck: {type: %s, interval: %s, timeout: %s, fall: 3, rise: 2}
  speaker:
    localAS: %d
    holdTime: %s
    neighbors:
`, strings.Join(vips, ", "), strings.Join(names, ", "), t.Pool.Check, t.Timers.Probe, t.Timers.CheckTimeout, PoolAS, t.Timers.Hold)
	fmt.Fprintf(&b, "      - {name: customers-v4, prefix: %s}\n", cust4Plain)
	fmt.Fprintf(&b, "      - {name: customers-v6, prefix: \"%s\"}\n", cust6Plain)
	if t.Swarm.Sessions > 0 {
		fmt.Fprintf(&b, "      - {name: swarm-v4, prefix: %s}\n", swarm4Plain)
		fmt.Fprintf(&b, "      - {name: swarm-v6, prefix: \"%s\"}\n", swarm6Plain)
		fmt.Fprintf(&b, "      - {name: swarm-signed-v4, prefix: %s, md5Secret: %s}\n", swarm4MD5, MD5Secret)
		fmt.Fprintf(&b, "      - {name: swarm-signed-v6, prefix: \"%s\", md5Secret: %s}\n", swarm6MD5, MD5Secret)
	}
	if t.Customers.MD5 > 0 {
		fmt.Fprintf(&b, "      - {name: signed-v4, prefix: %s, md5Secret: %s}\n", cust4MD5, MD5Secret)
		fmt.Fprintf(&b, "      - {name: signed-v6, prefix: \"%s\", md5Secret: %s}\n", cust6MD5, MD5Secret)
	}
	return b.String()
}
