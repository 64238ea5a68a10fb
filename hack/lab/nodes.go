package lab

import (
	"fmt"
	"net/netip"
	"path"
	"slices"

	"github.com/peerage/peerage/hack/lab/router"
)

// Role is what a node is in the site.
type Role string

// The roles of nodes.
const (
	RoleRouter     Role = "router"
	RoleStore      Role = "store"
	RoleController Role = "controller"
	RoleLB         Role = "lb"
	RoleRealServer Role = "realserver"
	RoleCustomer   Role = "customer"
	RoleSwarm      Role = "swarm"
)

// Root is where a running lab keeps sockets, configuration, logs and state.
const Root = "/run/peerage"

// Router, Store and SwarmName are the names of the nodes of which there is one.
const (
	Router    = "rt"
	Store     = "store"
	SwarmName = "swarm"
)

// AS numbers of the site. Customers count up from CustomerAS, those of the swarm
// from SwarmAS.
const (
	RouterAS   = 65000
	PoolAS     = 65001
	FabricAS   = 65010
	CustomerAS = 64600
	SwarmAS    = 4200000000
)

// MD5Secret is the name of the key that some customers sign with, MD5Key the
// key: a lab has no secrets.
const (
	MD5Secret = "customers-md5"
	MD5Key    = "not-a-secret-in-the-lab"
)

// Node is one machine of the site: a network namespace of the same name.
type Node struct {
	Name string
	Role Role
	// Data are the addresses on eth0: the LAN of LBs and real servers, or the
	// customers' side of the router. The router has its own here.
	Data []netip.Prefix
	// Mgmt is the address on mgmt0, the network of the store and the API: it
	// does not fail with the data network.
	Mgmt netip.Prefix
	// AS, MD5 and VIP are of customers: the session they hold. Router is the
	// make of theirs.
	AS     uint32
	MD5    bool
	VIP    netip.Addr
	Router router.Make
}

// Dir is the node's folder: sockets, configuration, logs and state.
func (n Node) Dir() string { return path.Join(Root, n.Name) }

// File is a file in the node's folder.
func (n Node) File(name string) string { return path.Join(n.Dir(), name) }

// Addr is the node's data address of a family; invalid when it has none.
func (n Node) Addr(v4 bool) netip.Addr {
	for _, p := range n.Data {
		if p.Addr().Is4() == v4 {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// Router addresses. LBs and real servers share one LAN; all customers share
// another behind the router. The blocks of MD5 and plain customers differ,
// because a key is scoped to a prefix.
var (
	lan4Base  = netip.MustParsePrefix("10.0.0.0/16")
	lan6Base  = netip.MustParsePrefix("fd00::/64")
	cust4Base = netip.MustParsePrefix("10.64.0.0/16")
	cust6Base = netip.MustParsePrefix("fd64::/64")
	mgmtBase  = netip.MustParsePrefix("10.255.0.0/16")

	cust4Plain = netip.MustParsePrefix("10.64.0.0/17")
	cust4MD5   = netip.MustParsePrefix("10.64.128.0/17")
	cust6Plain = netip.MustParsePrefix("fd64::1:0/112")
	cust6MD5   = netip.MustParsePrefix("fd64::2:0/112")

	// The customers of the swarm are behind its node.
	swarm4Plain = netip.MustParsePrefix("10.65.0.0/17")
	swarm4MD5   = netip.MustParsePrefix("10.65.128.0/17")
	swarm6Plain = netip.MustParsePrefix("fd65::1:0/112")
	swarm6MD5   = netip.MustParsePrefix("fd65::2:0/112")
)

// swarmPrefixes are the sources of the swarm's sessions.
func swarmPrefixes() []netip.Prefix {
	return []netip.Prefix{swarm4Plain, swarm6Plain, swarm4MD5, swarm6MD5}
}

// at is the address base + a*256 + b with the prefix length of base.
func at(base netip.Prefix, a, b int) netip.Prefix {
	raw := base.Addr().AsSlice()
	raw[len(raw)-2] += byte(a)
	raw[len(raw)-1] += byte(b)
	addr, _ := netip.AddrFromSlice(raw)
	return netip.PrefixFrom(addr, base.Bits())
}

// Operator is the address of whoever works in the lab on the management
// network, outside of every node.
func Operator() netip.Prefix { return at(mgmtBase, 0, 254) }

// RouterNode is the fabric router. Its customers' side is separate.
func (t Topology) RouterNode() Node {
	return Node{Name: Router, Role: RoleRouter, Data: []netip.Prefix{at(lan4Base, 0, 1), at(lan6Base, 0, 1)}}
}

// StoreNode runs etcd.
func (t Topology) StoreNode() Node {
	return Node{Name: Store, Role: RoleStore, Mgmt: at(mgmtBase, 0, 1)}
}

// ControllerNodes are ctl-1 and so on.
func (t Topology) ControllerNodes() []Node {
	return numbered(t.Controllers, func(i int) Node {
		return Node{Name: fmt.Sprintf("ctl-%d", i), Role: RoleController, Mgmt: at(mgmtBase, 0, 10+i)}
	})
}

// LBNodes are lb-1 and so on.
func (t Topology) LBNodes() []Node {
	return numbered(t.LoadBalancers, func(i int) Node {
		return Node{
			Name: fmt.Sprintf("lb-%d", i), Role: RoleLB,
			Data: []netip.Prefix{at(lan4Base, 0, 10+i), at(lan6Base, 0, 0x10+i)},
			Mgmt: at(mgmtBase, 1, i),
		}
	})
}

// RealServerNodes are rs-1 and so on.
func (t Topology) RealServerNodes() []Node {
	return numbered(t.RealServers, func(i int) Node {
		a, b := 1+(i-1)/250, (i-1)%250+1
		return Node{
			Name: fmt.Sprintf("rs-%d", i), Role: RoleRealServer,
			Data: []netip.Prefix{at(lan4Base, a, b), at(lan6Base, a, b)},
			Mgmt: at(mgmtBase, 1+a, b),
		}
	})
}

// CustomerNodes are c-001 and so on: first those with IPv4, then those with
// IPv6. The last ones of each family sign their sessions. The makes of router
// take turns among those that sign, and among those that do not.
func (t Topology) CustomerNodes() []Node {
	md5v6 := min(t.Customers.MD5/2, t.Customers.V6)
	md5v4 := min(t.Customers.MD5-md5v6, t.Customers.V4)
	md5v6 = t.Customers.MD5 - md5v4
	family := func(first, count, signed int, v4 bool, plain, md5 netip.Prefix, bits int) []Node {
		return numbered(count, func(i int) Node {
			n := Node{
				Name: fmt.Sprintf("c-%03d", first+i), Role: RoleCustomer,
				AS: CustomerAS + uint32(first+i), MD5: i > count-signed, VIP: t.vip(v4),
			}
			base, turn := plain, i-1
			if n.MD5 {
				base, turn = md5, i-1-(count-signed)
			}
			n.Router = t.Customers.Routers[turn%len(t.Customers.Routers)]
			n.Data = []netip.Prefix{netip.PrefixFrom(at(base, 1, i).Addr(), bits)}
			return n
		})
	}
	return slices.Concat(
		family(0, t.Customers.V4, md5v4, true, cust4Plain, cust4MD5, cust4Base.Bits()),
		family(t.Customers.V4, t.Customers.V6, md5v6, false, cust6Plain, cust6MD5, cust6Base.Bits()))
}

// SwarmNode is where the customers of the swarm are.
func (t Topology) SwarmNode() Node {
	return Node{Name: SwarmName, Role: RoleSwarm, Data: []netip.Prefix{at(cust4Base, 0, 2), at(cust6Base, 0, 2)}}
}

// Nodes are all nodes of the site, those first that others need.
func (t Topology) Nodes() []Node {
	var swarm []Node
	if t.Swarm.Sessions > 0 {
		swarm = append(swarm, t.SwarmNode())
	}
	return slices.Concat([]Node{t.StoreNode(), t.RouterNode()}, t.ControllerNodes(), t.LBNodes(), t.RealServerNodes(), t.CustomerNodes(), swarm)
}

// Node finds a node by name.
func (t Topology) Node(name string) (Node, error) {
	for _, n := range t.Nodes() {
		if n.Name == name {
			return n, nil
		}
	}
	return Node{}, fmt.Errorf("no node is named %q; there are %s, %s, ctl-1..%d, lb-1..%d, rs-1..%d, c-001..%03d",
		name, Store, Router, t.Controllers, t.LoadBalancers, t.RealServers, t.Customers.V4+t.Customers.V6)
}

// EtcdEndpoint is where the store listens.
func (t Topology) EtcdEndpoint() string {
	return "http://" + t.StoreNode().Mgmt.Addr().String() + ":2379"
}

// API lists the controllers' URLs.
func (t Topology) API() []string {
	var urls []string
	for _, n := range t.ControllerNodes() {
		urls = append(urls, "http://"+n.Mgmt.Addr().String()+":8080")
	}
	return urls
}

func numbered(count int, node func(i int) Node) []Node {
	nodes := make([]Node, 0, count)
	for i := 1; i <= count; i++ {
		nodes = append(nodes, node(i))
	}
	return nodes
}
