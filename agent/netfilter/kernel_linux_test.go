package netfilter

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/hack/lab/labtest"
)

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// rules are what iptables-save prints, without counters and comments.
func rules(t *testing.T) string {
	t.Helper()
	var lines []string
	for _, program := range []string{"iptables-save", "ip6tables-save"} {
		out, err := exec.Command(program).Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "-A") || strings.HasPrefix(line, ":PEERAGE") {
				lines = append(lines, line)
			}
		}
	}
	return strings.Join(lines, "")
}

// TestKernelRules: what iptables prints is what we compare with, so a second
// Set must find nothing to do; and what others made stays.
func TestKernelRules(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		r, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		r.Tracking = func() bool { return true }
		for _, program := range []string{"iptables", "ip6tables"} {
			run(t, program, "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT")
		}
		before := rules(t)
		vips := services("192.0.2.1:179", "192.0.2.1:1790", "192.0.2.2:179", "[2001:db8::1]:179")
		for _, want := range []bool{true, false} {
			if changed, err := r.Set(t.Context(), vips); err != nil || changed != want {
				t.Errorf("Set = %v, %v; want %v", changed, err, want)
			}
		}
		full := rules(t)
		run(t, "iptables", "-D", "PEERAGE-IN", "2")
		run(t, "iptables", "-I", "PEERAGE-IN", "1", "-d", "192.0.2.1", "-j", "DROP")
		run(t, "ip6tables", "-t", "raw", "-F", "PEERAGE-RAW")
		run(t, "ip6tables", "-D", "OUTPUT", "-j", "PEERAGE-OUT")
		if changed, err := r.Set(t.Context(), vips); err != nil || !changed {
			t.Errorf("repair: %v, %v", changed, err)
		}
		if d := cmp.Diff(full, rules(t)); d != "" {
			t.Errorf("repaired (-before +after):\n%s", d)
		}
		if changed, err := r.Set(t.Context(), vips[2:]); err != nil || !changed || strings.Contains(rules(t), "192.0.2.1/") {
			t.Errorf("fewer VIPs: %v, %v\n%s", changed, err, rules(t))
		}
		for range 2 {
			if err := r.Remove(t.Context()); err != nil {
				t.Error(err)
			}
			if d := cmp.Diff(before, rules(t)); d != "" {
				t.Errorf("after Remove (-before +after):\n%s", d)
			}
		}
	})
}

// TestKernelFilter: on a VIP only the service and ICMP answer.
func TestKernelFilter(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		labtest.NewBridge(t, netip.MustParsePrefix("10.1.0.1/24"))
		for _, a := range []string{"192.0.2.1/32", "2001:db8::1/128", "2001:db8:1::1/64"} {
			run(t, "ip", "address", "add", a, "dev", labtest.Bridge, "nodad")
		}
		customer := labtest.NewMachine(t, "customer", netip.MustParsePrefix("10.1.0.2/24"))
		customer.IP("address add 2001:db8:1::2/64 dev eth0 nodad", "route add 192.0.2.1 via 10.1.0.1", "route add 2001:db8::1 via 2001:db8:1::1")
		var ports []string
		for range 2 {
			l, err := net.Listen("tcp", ":0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			_, port, err := net.SplitHostPort(l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			ports = append(ports, port)
		}
		reach := func(host, port string, limit time.Duration) bool {
			var c net.Conn
			var err error
			customer.In(func() { c, err = net.DialTimeout("tcp", net.JoinHostPort(host, port), limit) })
			return err == nil && c.Close() == nil
		}
		r, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Set(t.Context(), services("192.0.2.1:"+ports[0], "[2001:db8::1]:"+ports[0])); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ vip, own string }{{"192.0.2.1", "10.1.0.1"}, {"2001:db8::1", "2001:db8:1::1"}} {
			if !reach(c.vip, ports[0], 20*time.Second) || !reach(c.own, ports[1], 20*time.Second) {
				t.Errorf("%s: the service, or another address, does not answer", c.vip)
			}
			if reach(c.vip, ports[1], time.Second) {
				t.Errorf("%s: another port answers", c.vip)
			}
		}
	})
}

// TestKernelDirectReturn: behind a stateful firewall a session reaches the real
// server by direct return; and the LB's own stack resets none from a VIP.
func TestKernelDirectReturn(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		vip := netip.MustParseAddrPort("192.0.2.1:179")
		labtest.NewBridge(t, netip.MustParsePrefix("10.1.0.1/24"))
		run(t, "ip", "link", "add", "vip", "type", "dummy")
		run(t, "ip", "address", "add", "192.0.2.1/32", "dev", "vip")
		run(t, "ip", "link", "set", "vip", "up")
		customer := labtest.NewMachine(t, "customer", netip.MustParsePrefix("10.1.0.2/24"))
		customer.IP("route add 192.0.2.1 via 10.1.0.1")
		server := labtest.NewMachine(t, "rs", netip.MustParsePrefix("10.1.0.11/24"))
		server.Sysctl("ipv4/conf/all/arp_ignore", "1")
		server.Sysctl("ipv4/conf/all/arp_announce", "2")
		server.IP("address add 192.0.2.1/32 dev lo")
		var l net.Listener
		var err error
		server.In(func() { l, err = net.Listen("tcp", vip.String()) })
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}
		}()
		dial := func(limit time.Duration) (c net.Conn, err error) {
			customer.In(func() { c, err = net.DialTimeout("tcp", vip.String(), limit) })
			return c, err
		}
		// A firewall as many hosts have it, which also accepts what is untracked.
		for _, rule := range []string{
			"-A INPUT -m conntrack --ctstate INVALID -j DROP", "-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED,UNTRACKED -j ACCEPT", "-P INPUT DROP",
			"-A OUTPUT -m conntrack --ctstate INVALID -j DROP", "-A OUTPUT -m conntrack --ctstate NEW,ESTABLISHED,RELATED,UNTRACKED -j ACCEPT", "-P OUTPUT DROP",
		} {
			run(t, "iptables", strings.Fields(rule)...)
		}
		run(t, "sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0")
		r, err := Open() // sees by itself that tracking is loaded
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Set(t.Context(), []netip.AddrPort{vip}); err != nil {
			t.Fatal(err)
		}
		if c, err := dial(time.Second); err == nil || errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("without IPVS: %v, %v; want silence, for a reset would end sessions", c, err)
		}
		run(t, "ipvsadm", "-A", "-t", vip.String(), "-s", "mh")
		run(t, "ipvsadm", "-a", "-t", vip.String(), "-r", "10.1.0.11:179", "-g")
		c, err := dial(20 * time.Second)
		if err != nil {
			t.Fatalf("%v\n%s", err, rules(t))
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := io.WriteString(c, "hello"); err != nil {
				t.Fatal(err)
			}
			answer := make([]byte, 5)
			if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "hello" {
				t.Fatalf("answer %q, %v", answer, err)
			}
		}
	})
}
