package hostnet

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/peerage/peerage/hack/lab/labtest"
)

func ip(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestKernelDevice(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		d, ctx := &Device{}, t.Context()
		if list, err := d.List(ctx); err != nil || len(list) > 0 {
			t.Errorf("List without a device = %v, %v", list, err)
		}
		if err := d.Remove(ctx); err != nil {
			t.Errorf("Remove without a device: %v", err)
		}
		// Another device with one of the addresses is none of our business.
		ip(t, "link", "add", "other", "type", "dummy")
		ip(t, "address", "add", "192.0.2.9/32", "dev", "other")
		other := ip(t, "address", "show", "dev", "other")
		for _, step := range []struct {
			name    string
			want    []string
			changed bool
		}{
			{"first", []string{"192.0.2.1/32", "2001:db8::1/128"}, true},
			{"again", []string{"2001:db8::1/128", "192.0.2.1/32"}, false},
			{"change", []string{"192.0.2.2/32", "2001:db8::1/128", "2001:db8::2/128"}, true},
			{"empty", nil, true},
			{"empty again", nil, false},
			{"full", []string{"192.0.2.1/32", "2001:db8::1/128"}, true},
		} {
			want := prefixes(step.want...)
			changed, err := d.Set(ctx, want)
			if err != nil || changed != step.changed {
				t.Errorf("%s: Set = %v, %v; want %v", step.name, changed, err, step.changed)
			}
			list, err := d.List(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if !sameSet(t, list, step.want) {
				t.Errorf("%s: device holds %v, want %v", step.name, list, step.want)
			}
		}
		text := ip(t, "address", "show", "dev", DeviceName)
		for _, want := range []string{"inet 192.0.2.1/32 scope global", "inet6 2001:db8::1/128 scope global nodad", ",UP"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		for _, bad := range []string{"tentative", "fe80:"} {
			if strings.Contains(text, bad) {
				t.Errorf("%q in\n%s", bad, text)
			}
		}
		// What somebody took down or added is repaired.
		ip(t, "address", "del", "192.0.2.1/32", "dev", DeviceName)
		ip(t, "address", "add", "198.51.100.1/24", "dev", DeviceName)
		ip(t, "link", "set", DeviceName, "down")
		if changed, err := d.Set(ctx, prefixes("192.0.2.1/32", "2001:db8::1/128")); err != nil || !changed {
			t.Errorf("repair: %v, %v", changed, err)
		}
		if list, err := d.List(ctx); err != nil || !sameSet(t, list, []string{"192.0.2.1/32", "2001:db8::1/128"}) {
			t.Errorf("repaired to %v, %v", list, err)
		}
		if err := d.Remove(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := netlink.LinkByName(DeviceName); err == nil {
			t.Error("the device is still there")
		}
		if d := cmp.Diff(other, ip(t, "address", "show", "dev", "other")); d != "" {
			t.Errorf("the other device was touched:\n%s", d)
		}
	})
}

func sameSet[P interface{ String() string }](t *testing.T, list []P, want []string) bool {
	t.Helper()
	var got []string
	for _, p := range list {
		got = append(got, p.String())
	}
	slices.Sort(got)
	return slices.Equal(got, slices.Sorted(slices.Values(want)))
}

// A device that an earlier life of the host left is adopted, whoever made it,
// as long as it is a dummy.
func TestKernelDeviceIsAdoptedOrRefused(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		d, ctx := &Device{}, t.Context()
		ip(t, "link", "add", DeviceName, "type", "dummy")
		ip(t, "address", "add", "192.0.2.1/32", "dev", DeviceName)
		index := ip(t, "-o", "link", "show", DeviceName)[:3]
		if changed, err := d.Set(ctx, prefixes("192.0.2.1/32")); err != nil || !changed { // it was down
			t.Errorf("Set = %v, %v", changed, err)
		}
		if now := ip(t, "-o", "link", "show", DeviceName)[:3]; now != index {
			t.Errorf("the device was made anew: %s, then %s", index, now)
		}
		ip(t, "link", "del", DeviceName)
		ip(t, "link", "add", DeviceName, "type", "bridge")
		ip(t, "address", "add", "192.0.2.7/32", "dev", DeviceName)
		before := ip(t, "address", "show", "dev", DeviceName)
		if _, err := d.Set(ctx, prefixes("192.0.2.1/32")); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "bridge") {
			t.Errorf("Set on a bridge: %v", err)
		}
		if err := d.Remove(ctx); !errors.Is(err, ErrForeign) {
			t.Errorf("Remove of a bridge: %v", err)
		}
		if d := cmp.Diff(before, ip(t, "address", "show", "dev", DeviceName)); d != "" {
			t.Errorf("the bridge was touched:\n%s", d)
		}
	})
}

func TestKernelIPv6Off(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		s := &Sysctls{Dir: t.TempDir()}
		if _, err := s.Set(t.Context(), map[string]string{"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"}); err != nil {
			t.Fatal(err)
		}
		d := &Device{}
		if _, err := d.Set(t.Context(), prefixes("192.0.2.1/32", "2001:db8::1/128")); err == nil || !strings.Contains(err.Error(), "IPv6 is off on this host") {
			t.Errorf("error %v does not tell that IPv6 is off", err)
		}
		if list, err := d.List(t.Context()); err != nil || !sameSet(t, list, []string{"192.0.2.1/32"}) {
			t.Errorf("device holds %v, %v; want the IPv4 address all the same", list, err)
		}
		if err := s.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		if changed, err := d.Set(t.Context(), prefixes("192.0.2.1/32", "2001:db8::1/128")); err != nil || !changed {
			t.Errorf("with IPv6 on again: %v, %v", changed, err)
		}
	})
}

func TestKernelRequire(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		if err := RequireModule(t.Context(), "ip_vs_wrr"); err != nil {
			t.Error(err)
		}
		if err := RequireModule(t.Context(), "no_such_module"); err == nil || !strings.Contains(err.Error(), "no_such_module") {
			t.Errorf("error %v", err)
		}
	})
}
