package api

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// The bounds of lists. They are far above what one site needs, and below what
// hurts.
const (
	maxVIPs        = 64
	maxRealServers = 1024 // mh has 4093 buckets to share
	maxLBs         = 64
	maxPeers       = 16
	maxNeighbors   = 20_000
)

// IsFileName tells whether a name is safe as that of a file in a directory:
// 1..64 of [A-Za-z0-9._-], not beginning with a dot.
func IsFileName(name string) bool {
	if name == "" || len(name) > 64 || name[0] == '.' {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// Validate implements Object.
func (p *Pool) Validate() error {
	r := &report{object: Key(p)}
	s := &p.Spec
	r.meta(&p.Meta)
	r.vips(s.VIPs)
	within(r, "spec.port", s.Port, 1, 65535)
	r.scheduler(s.Scheduler)
	r.forwarding(s.Forwarding)
	r.names("spec.realServers", s.RealServers, maxRealServers)
	r.names("spec.loadBalancers", s.LoadBalancers, maxLBs)
	r.healthCheck(&s.HealthCheck)
	r.quota("spec.guards.minHealthy", s.Guards.MinHealthy)
	r.quota("spec.guards.maxDepooled", s.Guards.MaxDepooled)
	r.quota("spec.guards.maxShrink", s.Guards.MaxShrink)
	r.speaker(&s.Speaker)
	return r.err()
}

func (r *report) vips(vips []netip.Addr) {
	r.count("spec.vips", len(vips), 1, maxVIPs)
	seen := map[netip.Addr]int{}
	for i, vip := range vips {
		at := fmt.Sprintf("spec.vips[%d]", i)
		if !r.address(at, vip) {
			continue
		}
		if j, found := seen[vip]; found {
			r.add(at, fmt.Sprintf("%v is item %d of the list already", vip, j), "delete one of them")
			continue
		}
		seen[vip] = i
	}
}

func (r *report) scheduler(s Scheduler) {
	known := []Scheduler{SchedulerMH, SchedulerWLC, SchedulerWRR, SchedulerRR, SchedulerSH}
	oneOf(r, "spec.scheduler", s, known)
}

func (r *report) forwarding(f Forwarding) {
	switch f {
	case ForwardingIPIP, ForwardingGUE:
		r.add("spec.forwarding", fmt.Sprintf("%s does not work yet", f), "write dsr, with load balancers and real servers in one network")
	default:
		oneOf(r, "spec.forwarding", f, []Forwarding{ForwardingDSR})
	}
}

func oneOf[T ~string](r *report, path string, v T, known []T) {
	for _, k := range known {
		if v == k {
			return
		}
	}
	fix := "write one of " + join(known)
	if len(known) == 1 {
		fix = "write " + string(known[0])
	}
	r.add(path, fmt.Sprintf("%q is not known", clip(string(v))), fix)
}

func (r *report) healthCheck(h *HealthCheck) {
	const at = "spec.healthCheck."
	oneOf(r, at+"type", h.Type, []HealthCheckType{HealthCheckBGP, HealthCheckTCP})
	within(r, at+"interval", h.Interval, Duration(100*time.Millisecond), Duration(5*time.Minute))
	within(r, at+"timeout", h.Timeout, Duration(10*time.Millisecond), Duration(time.Minute))
	if h.Timeout > 10*h.Interval {
		r.add(at+"timeout", fmt.Sprintf("%v is more than ten intervals of %v", h.Timeout, h.Interval), fmt.Sprintf("write at most %v, or a longer interval", 10*h.Interval))
	}
	within(r, at+"fall", h.Fall, 1, 100)
	within(r, at+"rise", h.Rise, 1, 100)
}

func (r *report) quota(path string, q Quota) {
	if q.N < 0 || q.Percent && q.N > 100 || q.N > maxRealServers {
		r.add(path, q.String()+" is out of range", fmt.Sprintf("write 0..%d, or 0%%..100%%", maxRealServers))
	}
}

func (r *report) speaker(s *Speaker) {
	r.as("spec.speaker.localAS", s.LocalAS)
	r.holdTime("spec.speaker.holdTime", s.HoldTime)
	r.count("spec.speaker.neighbors", len(s.Neighbors), 0, maxNeighbors)
	names, prefixes := map[string]int{}, map[netip.Prefix]int{}
	for i, n := range s.Neighbors {
		at := fmt.Sprintf("spec.speaker.neighbors[%d]", i)
		r.unique(at+".name", n.Name, names, i)
		r.prefix(at+".prefix", n.Prefix)
		if j, found := prefixes[n.Prefix]; found && n.Prefix.IsValid() {
			r.add(at+".prefix", fmt.Sprintf("%v is that of neighbor %d already", n.Prefix, j), "delete one of them, or write a longer prefix: the longest decides")
		} else {
			prefixes[n.Prefix] = i
		}
		if n.AS != 0 {
			r.as(at+".as", n.AS)
			if n.AS == s.LocalAS {
				r.add(at+".as", fmt.Sprintf("%d is the local AS number, and customers are in others", n.AS), "write the customer's, or delete the line to accept any other")
			}
		}
		r.secret(at+".md5Secret", n.MD5Secret)
	}
}

// unique checks the name of a list's item.
func (r *report) unique(path, name string, seen map[string]int, i int) {
	r.name(path, name)
	if j, found := seen[name]; found && name != "" {
		r.add(path, fmt.Sprintf("%s is the name of item %d already", name, j), "write another name")
		return
	}
	seen[name] = i
}

func (r *report) prefix(path string, p netip.Prefix) {
	switch {
	case !p.IsValid():
		r.add(path, "the prefix is missing", "write a prefix such as 192.0.2.0/24 or 2001:db8::1/128")
	case p.Addr().Is4In6():
		r.add(path, fmt.Sprintf("%v is an IPv4 prefix written as IPv6", p), "write it as IPv4")
	case p != p.Masked():
		r.add(path, fmt.Sprintf("%v has bits set beyond its length", p), fmt.Sprintf("write %v, or %v/%d for the single router", p.Masked(), p.Addr(), p.Addr().BitLen()))
	case p.Bits() > 0 && (p.Addr().IsMulticast() || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast()):
		r.add(path, fmt.Sprintf("%v holds no address of a customer's router", p), "write a unicast prefix")
	}
}

// Validate implements Object.
func (l *LoadBalancer) Validate() error {
	r := &report{object: Key(l)}
	s := &l.Spec
	r.meta(&l.Meta)
	r.own("spec.addresses", s.Addresses)
	r.device("spec.interface", s.Interface)
	r.fabric(s)
	return r.err()
}

// device checks the name of a network device as the kernel does.
func (r *report) device(path, name string) {
	const longest = 15 // IFNAMSIZ without its NUL
	switch {
	case name == "":
		r.add(path, "the interface is missing", "write the device that faces the real servers, such as eth0")
	case len(name) > longest, name == ".", name == "..", strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' || c == '/' || c == ':' || c == '"' }):
		r.add(path, fmt.Sprintf("%q is not the name of a device", clip(name)), fmt.Sprintf("write at most %d characters without spaces, slashes and colons, such as eth0", longest))
	}
}

func (r *report) fabric(s *LoadBalancerSpec) {
	f := &s.Fabric
	if len(f.Peers) == 0 {
		return
	}
	r.count("spec.fabric.peers", len(f.Peers), 0, maxPeers)
	r.as("spec.fabric.localAS", f.LocalAS)
	if !f.RouterID.IsValid() {
		r.add("spec.fabric.routerID", "the router id is missing, and there is no IPv4 address to take it from", "write one in the form of an IPv4 address, unique in the site")
	} else if !f.RouterID.Is4() || f.RouterID.IsUnspecified() {
		r.add("spec.fabric.routerID", fmt.Sprintf("%v is not a router id", f.RouterID), "write it in the form of an IPv4 address, such as 192.0.2.1")
	}
	within(r, "spec.fabric.bfd.interval", f.BFD.Interval, Duration(10*time.Millisecond), Duration(10*time.Second))
	within(r, "spec.fabric.bfd.multiplier", f.BFD.Multiplier, 2, 255)
	names, addrs := map[string]int{}, map[netip.Addr]int{}
	for i := range f.Peers {
		r.peer(s, i, names, addrs)
	}
}

func (r *report) peer(s *LoadBalancerSpec, i int, names map[string]int, addrs map[netip.Addr]int) {
	p := &s.Fabric.Peers[i]
	at := fmt.Sprintf("spec.fabric.peers[%d]", i)
	r.unique(at+".name", p.Name, names, i)
	r.as(at+".as", p.AS)
	r.holdTime(at+".holdTime", p.HoldTime)
	r.secret(at+".md5Secret", p.MD5Secret)
	if !r.address(at+".address", p.Address) {
		return
	}
	if j, found := addrs[p.Address]; found {
		r.add(at+".address", fmt.Sprintf("%v is that of peer %d already", p.Address, j), "keep one session to each router and family")
	}
	addrs[p.Address] = i
	family := false
	for _, a := range s.Addresses {
		if a == p.Address {
			r.add(at+".address", fmt.Sprintf("%v is the load balancer's own", a), "write the router's address")
		}
		family = family || a.Is4() == p.Address.Is4()
	}
	if !family {
		r.add(at+".address", fmt.Sprintf("the load balancer has no %s address to reach %v from", familyOf(p.Address), p.Address), "add one to spec.addresses, or delete the peer")
	}
}

// Validate implements Object.
func (r *RealServer) Validate() error {
	rep := &report{object: Key(r)}
	rep.meta(&r.Meta)
	rep.own("spec.addresses", r.Spec.Addresses)
	within(rep, "spec.weight", r.Spec.Weight, 1, 8)
	return rep.err()
}

// Validate implements Object.
func (s *Settings) Validate() error {
	r := &report{object: Key(s)}
	r.meta(&s.Meta)
	if s.Name != SettingsName {
		r.add("metadata.name", fmt.Sprintf("%q is not the name of the settings", clip(s.Name)), "write "+SettingsName)
	}
	c := &s.Spec.ConnSync
	within(r, "spec.connSync.id", c.ID, 1, 255)
	// An entry must be sent again well before IPVS forgets its copy (15 min).
	r.seconds("spec.connSync.refreshPeriod", c.RefreshPeriod, Duration(time.Second), Duration(5*time.Minute))
	within(r, "spec.connSync.warmup", c.Warmup, Duration(time.Second), Duration(time.Hour))
	r.seconds("spec.leaseTTL", s.Spec.LeaseTTL, Duration(2*time.Second), Duration(5*time.Minute))
	within(r, "spec.observeInterval", s.Spec.ObserveInterval, Duration(100*time.Millisecond), Duration(time.Minute))
	return r.err()
}
