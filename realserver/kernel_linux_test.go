package realserver

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/peerage/peerage/api/node/hostnet"
	"github.com/peerage/peerage/hack/lab/labtest"
)

func command(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
	return string(out)
}

// answers tells whether the real server answers on the wire for an address: a
// neighbour in another namespace resolves it.
func answers(t *testing.T, addr string) bool {
	t.Helper()
	command(t, "ip -n peer neigh flush dev wire1")
	// The packet only makes the kernel ask; whether it is answered is seen in
	// the neighbour table.
	_ = exec.Command("ip", "netns", "exec", "peer", "busybox", "ping", "-c", "1", "-W", "2", addr).Run()
	entry := command(t, "ip -n peer neigh show to "+addr+" dev wire1")
	switch {
	case strings.Contains(entry, "lladdr"):
		return true
	case strings.Contains(entry, "FAILED"), strings.Contains(entry, "INCOMPLETE"):
		return false
	}
	t.Fatalf("nobody asked for %s: %q", addr, entry)
	return false
}

// With the kernel parameters and on the dummy device, no VIP is answered for
// on the wire, while the server's own addresses are.
func TestKernelVIPsAreSilent(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		const own4, own6, vip4, vip6 = "10.0.0.1", "fd00::1", "203.0.113.1", "2001:db8::1"
		command(t, `ip netns add peer
			ip link add wire0 type veth peer name wire1 netns peer
			ip link set wire0 up; ip -n peer link set wire1 up; ip -n peer link set lo up
			ip address add 10.0.0.1/24 dev wire0; ip address add fd00::1/64 dev wire0 nodad
			ip -n peer address add 10.0.0.2/24 dev wire1; ip -n peer address add fd00::2/64 dev wire1 nodad
			ip -n peer route add 203.0.113.0/24 dev wire1; ip -n peer route add 2001:db8::/64 dev wire1`)
		t.Cleanup(func() { command(t, "ip netns del peer") })
		vips := []netip.Prefix{netip.MustParsePrefix(vip4 + "/32"), netip.MustParsePrefix(vip6 + "/128")}
		device, sysctls := &hostnet.Device{}, &hostnet.Sysctls{Dir: t.TempDir()}
		if _, err := device.Set(t.Context(), vips); err != nil {
			t.Fatal(err)
		}
		if !answers(t, vip4) {
			t.Error("without the kernel parameters the IPv4 VIP is silent as well: the test sees nothing")
		}
		if _, err := sysctls.Set(t.Context(), parameters()); err != nil {
			t.Fatal(err)
		}
		for addr, want := range map[string]bool{own4: true, own6: true, vip4: false, vip6: false} {
			if got := answers(t, addr); got != want {
				t.Errorf("%s is answered for: %v, want %v", addr, got, want)
			}
		}
		// On the wire's own device the IPv6 VIP would be answered for.
		command(t, "ip address add "+vip6+"/128 dev wire0 nodad")
		if !answers(t, vip6) {
			t.Error("on the wire's device the IPv6 VIP is silent as well: the test sees nothing")
		}
		command(t, "ip address del "+vip6+"/128 dev wire0")
		host := Host{Addresses: device, Sysctls: sysctls}
		if err := host.Remove(t.Context()); err != nil {
			t.Error(err)
		}
		if ignore := strings.TrimSpace(command(t, "cat /proc/sys/net/ipv4/conf/all/arp_ignore")); ignore != "0" {
			t.Errorf("arp_ignore is %s after the removal", ignore)
		}
	})
}
