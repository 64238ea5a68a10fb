package connsync

import (
	"errors"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/agent/ipvs"
	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/hostnet"
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

func TestKernelSync(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		for i, name := range []string{"eth8", "eth9"} {
			run(t, "ip", "link", "add", name, "type", "dummy")
			run(t, "ip", "address", "add", netip.AddrFrom4([4]byte{10, 1, byte(i), 1}).String()+"/24", "dev", name)
			run(t, "ip", "link", "set", name, "up")
		}
		k, err := ipvs.OpenKernel(ipvs.KernelOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := k.Close(); err != nil {
				t.Error(err)
			}
		})
		s := &Sync{Kernel: k}
		s.HoldTimes(0)
		for _, step := range []struct {
			iface   string
			id      uint8
			changed bool
		}{{"eth8", 1, true}, {"eth8", 1, false}, {"eth8", 200, true}, {"eth9", 200, true}, {"eth9", 200, false}} {
			if changed, err := s.Set(t.Context(), step.iface, step.id); err != nil || changed != step.changed {
				t.Errorf("Set(%s, %d) = %v, %v; want %v", step.iface, step.id, changed, err, step.changed)
			}
			got, err := k.Daemons(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := []ipvs.Daemon{{Role: ipvs.Master, Interface: step.iface, ID: step.id}, {Role: ipvs.Backup, Interface: step.iface, ID: step.id}}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("daemons (-want +got):\n%s", d)
			}
		}
		if got, err := k.Timeouts(t.Context()); err != nil || got.TCP != 131070*time.Second || got.UDP != 300*time.Second {
			t.Errorf("time-outs %v, %v", got, err)
		}
		if _, err := s.Set(t.Context(), "eth7", 200); !errors.Is(err, unix.ENODEV) {
			t.Errorf("no such interface: %v", err)
		}
		for range 2 {
			if err := s.Remove(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if got, err := k.Daemons(t.Context()); err != nil || len(got) > 0 {
			t.Errorf("daemons %v, %v", got, err)
		}
	})
}

// Every parameter exists in the kernel and takes its value.
func TestKernelSysctls(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		s := &hostnet.Sysctls{Dir: t.TempDir()}
		before := run(t, "sysctl", "net.ipv4.vs")
		want := Sysctls(api.ConnSync{RefreshPeriod: api.Duration(10 * time.Second)})
		for range 2 {
			if drifted, err := s.Set(t.Context(), want); err != nil || len(drifted) > 0 {
				t.Errorf("Set = %v, %v", drifted, err)
			}
		}
		for key, value := range want {
			got := run(t, "sysctl", "-n", strings.TrimPrefix(key, "-"))
			if strings.Join(strings.Fields(got), " ") != value {
				t.Errorf("%s is %q, want %q", key, got, value)
			}
		}
		if err := s.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(before, run(t, "sysctl", "net.ipv4.vs")); d != "" {
			t.Errorf("after Restore (-before +after):\n%s", d)
		}
	})
}

func TestKernelConnections(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		vip, other := netip.MustParseAddrPort("192.0.2.1:179"), netip.MustParseAddrPort("[2001:db8::1]:179")
		for _, a := range []string{"192.0.2.1/32", "10.0.0.1/32", "2001:db8::1/128", "2001:db8:1::1/128"} {
			run(t, "ip", "address", "add", a, "dev", "lo")
		}
		run(t, "ipvsadm", "-A", "-t", vip.String(), "-s", "mh")
		run(t, "ipvsadm", "-a", "-t", vip.String(), "-r", "10.0.0.1:179", "-g")
		run(t, "ipvsadm", "-A", "-t", other.String(), "-s", "mh")
		run(t, "ipvsadm", "-a", "-t", other.String(), "-r", "[2001:db8:1::1]:179", "-g")
		if n, err := Connections(t.Context(), vip, other); err != nil || n != 0 {
			t.Errorf("Connections = %d, %v; want none yet", n, err)
		}
		// Refused by the real server, that is by ourselves; the entry is made.
		for _, v := range []netip.AddrPort{vip, vip, other} {
			_ = exec.Command("timeout", "5", "bash", "-c", "exec 3<>/dev/tcp/"+v.Addr().String()+"/179").Run()
		}
		for v, want := range map[netip.AddrPort]int{vip: 2, other: 1, netip.MustParseAddrPort("192.0.2.1:80"): 0} {
			if n, err := Connections(t.Context(), v); err != nil || n != want {
				t.Errorf("Connections(%s) = %d, %v; want %d\n%s", v, n, err, want, run(t, "cat", "/proc/net/ip_vs_conn"))
			}
		}
	})
}
