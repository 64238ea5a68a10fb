package ipvs

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/hack/lab/labtest"
)

// These tests send real packets: the test's own network namespace is the LB,
// customers and real servers are namespaces of their own on one bridge.

const ioTimeout = 20 * time.Second

// echo serves VIP:port; each answer begins with the machine's name.
func echo(t *testing.T, m *labtest.Machine, name string, vip netip.AddrPort) {
	t.Helper()
	var l net.Listener
	var err error
	m.In(func() { l, err = net.Listen("tcp", vip.String()) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					fmt.Fprintf(c, "%s %s\n", name, lines.Text())
				}
			}()
		}
	}()
}

// say sends a line and returns who answered.
func say(c net.Conn, line string) (server string, err error) {
	if err := c.SetDeadline(time.Now().Add(ioTimeout)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return "", err
	}
	server, rest, _ := strings.Cut(strings.TrimSpace(answer), " ")
	if rest != line {
		return "", fmt.Errorf("answer %q to %q", answer, line)
	}
	return server, nil
}

// site is an LB with customers and real servers.
type site struct {
	vip      netip.AddrPort
	customer *labtest.Machine
	table    *Table
	desired  []api.Table
}

// newSite has the VIP 192.0.2.1:179 and three real servers, 10.1.0.11 to 13.
func newSite(t *testing.T) *site {
	s := &site{vip: netip.MustParseAddrPort("192.0.2.1:179"), table: openTable(t, openTestKernel(t), recordFile(t))}
	labtest.NewBridge(t, netip.MustParsePrefix("10.1.0.1/24"))
	for _, line := range []string{"link add vip type dummy", "address add 192.0.2.1/32 dev vip", "link set vip up"} {
		run(t, "ip", strings.Fields(line)...)
	}
	for path, value := range map[string]string{"expire_nodest_conn": "1", "sloppy_tcp": "0"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/vs/"+path, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	s.customer = labtest.NewMachine(t, "customer", netip.MustParsePrefix("10.1.0.2/24"))
	s.customer.IP("route add 192.0.2.1 via 10.1.0.1")
	s.customer.Sysctl("ipv4/conf/all/accept_redirects", "0")
	desired := api.Table{VIP: s.vip.Addr(), Port: s.vip.Port(), Scheduler: api.SchedulerMH, Flags: []string{"mh-fallback"}}
	for i := range 3 {
		name := fmt.Sprintf("rs%d", i+1)
		addr := netip.AddrFrom4([4]byte{10, 1, 0, byte(11 + i)})
		m := labtest.NewMachine(t, name, netip.PrefixFrom(addr, 24))
		m.Sysctl("ipv4/conf/all/arp_ignore", "1")
		m.Sysctl("ipv4/conf/all/arp_announce", "2")
		m.IP("address add 192.0.2.1/32 dev lo")
		echo(t, m, name, s.vip)
		desired.Destinations = append(desired.Destinations, api.TableDestination{Addr: addr, Port: s.vip.Port(), Forwarding: api.ForwardingDSR, Nominal: 1, Weight: 1})
	}
	s.desired = []api.Table{desired}
	s.set(t)
	return s
}

func (s *site) set(t *testing.T) Result {
	t.Helper()
	res, err := s.table.Set(t.Context(), s.desired)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// connect opens n sessions.
func (s *site) connect(t *testing.T, n int) []net.Conn {
	t.Helper()
	var sessions []net.Conn
	for range n {
		var c net.Conn
		var err error
		s.customer.In(func() { c, err = net.DialTimeout("tcp", s.vip.String(), ioTimeout) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		sessions = append(sessions, c)
	}
	return sessions
}

// TestKernelSessionsSurviveOrderRepair: established sessions live on while
// their destinations are deleted and added again to put them in order; and
// without holding them they do not, or the test would prove nothing.
func TestKernelSessionsSurviveOrderRepair(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		s := newSite(t)
		// Ports differ, addresses do not: without mh-port all go to one
		// server, so wlc spreads them.
		s.desired[0].Scheduler, s.desired[0].Flags = api.SchedulerWLC, nil
		s.set(t)
		sessions := s.connect(t, 30)
		servers := make([]string, len(sessions))
		perServer := map[string]int{}
		for i, c := range sessions {
			var err error
			if servers[i], err = say(c, "hello"); err != nil {
				t.Fatal(err)
			}
			perServer[servers[i]]++
		}
		if len(perServer) != 3 {
			t.Fatalf("sessions per server: %v; want all three in use", perServer)
		}
		// While the table is repaired the sessions talk.
		stop, broken := make(chan struct{}), make(chan error, len(sessions))
		for i, c := range sessions {
			go func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						broken <- nil
						return
					default:
					}
					server, err := say(c, fmt.Sprintf("line %d", n))
					if err == nil && server != servers[i] {
						err = fmt.Errorf("moved from %s to %s", servers[i], server)
					}
					if err != nil {
						broken <- err
						return
					}
				}
			}()
		}
		d := s.desired[0].Destinations
		for range 10 {
			d[0], d[1], d[2] = d[2], d[0], d[1]
			if res := s.set(t); res.Changed == 0 {
				t.Error("nothing was moved")
			}
		}
		close(stop)
		for range sessions {
			if err := <-broken; err != nil {
				t.Errorf("a session broke: %v", err)
			}
		}
		if value, _ := os.ReadFile(expireOrphans); strings.TrimSpace(string(value)) != "1" {
			t.Errorf("expire_nodest_conn is left at %q", value)
		}
		// The counterproof: a packet between deletion and addition.
		run(t, "ipvsadm", "-d", "-t", s.vip.String(), "-r", "10.1.0.11:179")
		dead := 0
		for i, c := range sessions {
			if servers[i] == "rs1" {
				if _, err := say(c, "anyone?"); err != nil {
					dead++
				}
			}
		}
		if dead != perServer["rs1"] {
			t.Errorf("%d of %d sessions of a deleted destination ended", dead, perServer["rs1"])
		}
	})
}

// mapping asks the kernel's table where it would send n sources, by making
// half-open connections from each.
func (s *site) mapping(t *testing.T, n int) map[string]string {
	t.Helper()
	s.customer.In(func() {
		for i := range n {
			// Answers find no way back to these sources, nor need they.
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer unix.Close(fd)
			if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{10, 2, byte(i >> 8), byte(i)}}); err != nil {
				t.Errorf("bind: %v", err)
				return
			}
			if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(s.vip.Port()), Addr: s.vip.Addr().As4()}); err != unix.EINPROGRESS {
				t.Errorf("connect: %v", err)
			}
		}
	})
	got := map[string]string{}
	deadline := time.Now().Add(ioTimeout)
	for len(got) < n && time.Now().Before(deadline) {
		// Not /proc/net: the first thread may be some machine's.
		data, err := os.ReadFile("/proc/thread-self/net/ip_vs_conn")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); f[0] == "TCP" && strings.HasPrefix(f[1], "0A02") {
				got[f[1]] = f[5]
			}
		}
	}
	if len(got) < n {
		t.Fatalf("%d of %d sources reached the kernel's table", len(got), n)
	}
	return got
}

// TestKernelRemembersNominalWeight: an LB that builds its table during a drain
// sends every source where its neighbour does, which was there before; so does
// one that lost its record.
func TestKernelRemembersNominalWeight(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		const sources = 256
		s := newSite(t)
		s.customer.IP("route add local 10.2.0.0/16 dev lo")
		// fresh empties the kernel: connections too, or sources would stick.
		fresh := func() {
			run(t, "ipvsadm", "-C")
			run(t, "modprobe", "-r", "ip_vs_wlc", "ip_vs_rr", "ip_vs_mh", "ip_vs_sh", "ip_vs_wrr", "ip_vs")
			run(t, "modprobe", "-a", "ip_vs", "ip_vs_mh")
			if err := s.table.Close(); err != nil {
				t.Fatal(err)
			}
			s.table = openTable(t, openTestKernel(t), recordFile(t))
		}
		drained := &s.desired[0].Destinations[1]
		drained.Nominal = 3
		fresh()
		drained.Weight = 3
		s.set(t)
		drained.Weight = 0
		s.set(t)
		neighbour := s.mapping(t, sources)

		fresh()
		s.set(t)
		if d := cmp.Diff(neighbour, s.mapping(t, sources)); d != "" {
			t.Errorf("booted during the drain (-neighbour +booted):\n%s", d)
		}

		// Somebody adds it at weight 0, which is what mh then remembers; the
		// record is lost, so it is not believed, and written anew.
		fresh()
		drained.Weight = 3
		s.set(t)
		run(t, "ipvsadm", "-d", "-t", s.vip.String(), "-r", "10.1.0.12:179")
		run(t, "ipvsadm", "-a", "-t", s.vip.String(), "-r", "10.1.0.12:179", "-g", "-w", "0")
		run(t, "ipvsadm", "-d", "-t", s.vip.String(), "-r", "10.1.0.13:179")
		run(t, "ipvsadm", "-a", "-t", s.vip.String(), "-r", "10.1.0.13:179", "-g", "-w", "1")
		drained.Weight = 0
		s.table = openTable(t, openTestKernel(t), recordFile(t))
		if res := s.set(t); res.Changed != 2 {
			t.Errorf("changes %v, want the nominal weight and 0", res.Ops)
		}
		if d := cmp.Diff(neighbour, s.mapping(t, sources)); d != "" {
			t.Errorf("with a lost record (-neighbour +repaired):\n%s", d)
		}
	})
}
