package lab

import (
	"fmt"
	"strings"
)

// Bridges of the lab, in the namespace that the lab was started in.
const (
	lanBridge  = "br-lan"
	mgmtBridge = "br-mgmt"
	// custBridge is inside the router: the customers' side.
	custBridge = "br-cust"
)

// sysctls of a node's namespace.
func sysctls(role Role) map[string]string {
	s := map[string]string{
		"net.ipv6.conf.all.accept_dad":     "0",
		"net.ipv6.conf.default.accept_dad": "0",
		"net.ipv6.conf.all.accept_ra":      "0",
		"net.ipv6.conf.default.accept_ra":  "0",
		"net.ipv4.conf.all.rp_filter":      "0",
		"net.ipv4.conf.default.rp_filter":  "0",
	}
	switch role {
	case RoleRouter:
		s["net.ipv4.ip_forward"] = "1"
		s["net.ipv6.conf.all.forwarding"] = "1"
		s["net.ipv4.fib_multipath_hash_policy"] = "1"
		s["net.ipv6.fib_multipath_hash_policy"] = "1"
		s["net.ipv4.conf.all.send_redirects"] = "0"
		s["net.ipv4.conf.default.send_redirects"] = "0"
	case RoleCustomer, RoleSwarm:
		// veth carries the sender's hash into the router's ECMP choice; a new
		// hash with each retransmission would re-roll the path.
		s["net.core.txrehash"] = "0"
	}
	return s
}

// batch collects lines of an ip -batch script.
type batch struct{ strings.Builder }

func (b *batch) add(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }

// hostLinks is the script that makes what is outside of every node.
func hostLinks() string {
	var b batch
	b.add("link set lo up")
	for _, br := range []string{lanBridge, mgmtBridge} {
		b.add("link add name %s type bridge mcast_snooping 0", br)
		b.add("link set %s addrgenmode none", br)
		b.add("link set %s up", br)
	}
	b.add("addr add %s dev %s", Operator(), mgmtBridge)
	return b.String()
}

// link is one cable of a node: a device inside, a port on a bridge outside.
type link struct{ port, device, bridge string }

// links are the cables of a node.
func (n Node) links() []link {
	var all []link
	switch n.Role {
	case RoleCustomer, RoleSwarm:
		all = append(all, link{n.Name, "eth0", custBridge})
	case RoleRouter, RoleLB, RoleRealServer:
		all = append(all, link{"d-" + n.Name, "eth0", lanBridge})
	}
	if n.Mgmt.IsValid() {
		all = append(all, link{"m-" + n.Name, "mgmt0", mgmtBridge})
	}
	return all
}

// outside is the node that holds the outer ends of a node's links; empty: none.
func (n Node) outside() string {
	if n.Role == RoleCustomer || n.Role == RoleSwarm {
		return Router
	}
	return ""
}

// outerLinks is the script that plugs a node in, run in n.outside().
func outerLinks(n Node) string {
	var b batch
	for _, l := range n.links() {
		b.add("link add name %s type veth peer name %s netns %s", l.port, l.device, n.Name)
		b.add("link set %s addrgenmode none", l.port)
		b.add("link set %s master %s up", l.port, l.bridge)
	}
	return b.String()
}

// onPorts is the script that does something to every outer end of a node.
func onPorts(n Node, format string) string {
	var b batch
	for _, l := range n.links() {
		b.add(format, l.port)
	}
	return b.String()
}

// innerLinks is the script that is run inside the node.
func (t Topology) innerLinks(n Node) string {
	var b batch
	b.add("link set lo up")
	if n.Mgmt.IsValid() {
		b.add("link set mgmt0 up")
		b.add("addr add %s dev mgmt0", n.Mgmt)
	}
	if len(n.Data) > 0 {
		b.add("link set eth0 up")
	}
	for _, p := range n.Data {
		if p.Addr().Is4() {
			b.add("addr add %s dev eth0", p)
		} else {
			b.add("addr add %s dev eth0 nodad", p)
		}
	}
	switch n.Role {
	case RoleRouter:
		b.add("link add name %s type bridge mcast_snooping 0", custBridge)
		b.add("link set %s up", custBridge)
		b.add("addr add %s dev %s", at(cust4Base, 0, 1), custBridge)
		b.add("addr add %s dev %s nodad", at(cust6Base, 0, 1), custBridge)
		if swarm := t.SwarmNode(); t.Swarm.Sessions > 0 {
			for _, p := range swarmPrefixes() {
				b.add("route add %s via %s", p, swarm.Addr(p.Addr().Is4()))
			}
		}
	case RoleLB, RoleRealServer:
		b.add("route add default via %s", at(lan4Base, 0, 1).Addr())
		b.add("route add default via %s", at(lan6Base, 0, 1).Addr())
	case RoleSwarm:
		b.add("route add default via %s", at(cust4Base, 0, 1).Addr())
		b.add("route add default via %s", at(cust6Base, 0, 1).Addr())
		for _, p := range swarmPrefixes() {
			b.add("route add local %s dev lo", p)
		}
	case RoleCustomer:
		base := cust6Base
		if n.VIP.Is4() {
			base = cust4Base
		}
		b.add("route add default via %s", at(base, 0, 1).Addr())
	}
	return b.String()
}
