package lab

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Holders tells which real server holds each customer's session: the customers
// of every established connection to port 179, as the real servers' kernels
// have them. The value of a customer with several connections lists the server
// of each, joined by "+".
//
// The kernel does not list its connections at one moment: while others beside
// it come and go, one may be left out, or be listed twice. Whoever says that he
// is up and was not seen is looked for again.
func (l *Lab) Holders(sessions *Sessions) (map[string]string, error) {
	const looks = 3
	wanted := make(map[netip.Addr]string)
	for _, s := range sessions.All() {
		if len(s.Customer.Data) > 0 { // one of the swarm that has begun
			wanted[s.Customer.Data[0].Addr()] = s.Customer.Name
		}
	}
	holders := make(map[string]string)
	for range looks {
		if err := l.holders(wanted, holders); err != nil {
			return nil, err
		}
		for addr, customer := range wanted {
			if holders[customer] != "" {
				delete(wanted, addr)
			}
		}
		if !slices.ContainsFunc(sessions.All(), func(s *Session) bool { return s.Established && holders[s.Customer.Name] == "" }) {
			break
		}
	}
	return holders, nil
}

// holders adds who holds the wanted customers' sessions.
func (l *Lab) holders(wanted map[netip.Addr]string, holders map[string]string) error {
	for _, n := range l.Topology.RealServerNodes() {
		text, err := connections(n.Name)
		if err != nil {
			return err
		}
		for _, peer := range establishedPeers(text, 179) {
			customer, ok := wanted[peer.Addr()]
			if !ok {
				continue // a probe
			}
			if other := holders[customer]; other != "" {
				holders[customer] = other + "+" + n.Name
			} else {
				holders[customer] = n.Name
			}
		}
	}
	return nil
}

// connections lists the TCP connections of a node as its kernel prints them.
func connections(node string) (string, error) {
	var all []byte
	err := In(node, func() error {
		for _, file := range []string{"tcp", "tcp6"} {
			text, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil {
				return err
			}
			all = append(all, text...)
		}
		return nil
	})
	return string(all), err
}

// establishedPeers reads /proc/net/tcp and tcp6: the far ends of established
// connections to a local port, each once.
func establishedPeers(text string, port uint16) []netip.AddrPort {
	seen := make(map[netip.AddrPort]bool)
	var peers []netip.AddrPort
	for line := range strings.Lines(text) {
		if peer, ok := establishedPeer(line, port); ok && !seen[peer] {
			seen[peer] = true
			peers = append(peers, peer)
		}
	}
	return peers
}

// establishedPeer reads a line of /proc/net/tcp or tcp6: the far end, when the
// connection is established (state 01) and its local port is the one asked for.
func establishedPeer(line string, port uint16) (netip.AddrPort, bool) {
	f := strings.Fields(line)
	if len(f) < 4 || f[3] != "01" || !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
		return netip.AddrPort{}, false
	}
	host, portText, _ := strings.Cut(f[2], ":")
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	peerPort, err := strconv.ParseUint(portText, 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 { // words of the host's order, little-endian
		slices.Reverse(raw[i : i+4])
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(peerPort)), ok
}

// Table is the IPVS table of an LB as `ipvsadm -Sn` prints it, without the
// anchor services of the agent (port 0 and firewall marks), which carry none.
func (l *Lab) Table(lb string) (string, error) {
	out, err := l.Output(lb, "ipvsadm", "-Sn")
	if err != nil {
		return "", err
	}
	return FilterTable(string(out), l.Topology.Pool.VIPs), nil
}

// Order is the IPVS table of an LB in the order of its kernel; see KernelTable.
func (l *Lab) Order(lb string) (string, error) {
	var text []byte
	err := In(lb, func() error {
		var err error
		text, err = os.ReadFile("/proc/thread-self/net/ip_vs")
		return err
	})
	return KernelTable(string(text), l.Topology.Pool.VIPs), err
}

// FilterTable keeps the lines of an ipvsadm -Sn dump that are of the VIPs.
func FilterTable(dump string, vips []netip.Addr) string {
	var b strings.Builder
	for line := range strings.Lines(dump) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		service, err := netip.ParseAddrPort(f[2])
		if err == nil && slices.Contains(vips, service.Addr()) {
			b.WriteString(strings.Join(f, " ") + "\n")
		}
	}
	return b.String()
}

// Weights are the weights of a real server in a table, one a VIP, in the order
// of the table.
func Weights(table string, n Node) []int {
	var weights []int
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		for i, word := range f {
			if word != "-r" || i+1 == len(f) {
				continue
			}
			dest, err := netip.ParseAddrPort(f[i+1])
			if err != nil || dest.Addr() != n.Addr(dest.Addr().Is4()) {
				continue
			}
			if w := slices.Index(f, "-w"); w >= 0 && w+1 < len(f) {
				if v, err := strconv.Atoi(f[w+1]); err == nil {
					weights = append(weights, v)
				}
			}
		}
	}
	return weights
}

// NextHops lists the LBs that the fabric router's kernel sends a VIP to.
func (l *Lab) NextHops(vip netip.Addr) ([]string, error) {
	flag := "-6"
	if vip.Is4() {
		flag = "-4"
	}
	out, err := l.Output(Router, "ip", flag, "route", "show", vip.String())
	if err != nil {
		return nil, err
	}
	f := strings.Fields(string(out))
	var lbs []string
	for i, word := range f {
		if word != "via" || i+1 == len(f) {
			continue
		}
		for _, n := range l.Topology.LBNodes() {
			if n.Addr(vip.Is4()).String() == f[i+1] {
				lbs = append(lbs, n.Name)
			}
		}
	}
	slices.Sort(lbs)
	return lbs, nil
}

// Output runs a command inside a node and returns what it prints.
func (l *Lab) Output(node, command string, args ...string) ([]byte, error) {
	var out []byte
	err := In(node, func() error {
		var err error
		out, err = exec.Command(command, args...).CombinedOutput()
		return err
	})
	if err != nil {
		return out, fmt.Errorf("%s: %s %s: %w: %s", node, command, strings.Join(args, " "), err, out)
	}
	return out, nil
}
