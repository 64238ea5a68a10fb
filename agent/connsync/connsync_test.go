package connsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/agent/ipvs"
	"github.com/peerage/peerage/api"
)

func TestSet(t *testing.T) {
	f := ipvs.NewFake()
	s := &Sync{Kernel: f}
	done := 0
	for _, step := range []struct {
		name  string
		iface string
		id    uint8
		holds []time.Duration
		want  []string
	}{
		{"start", "eth0", 1, nil, []string{"--start-daemon backup --mcast-interface eth0 --syncid 1", "--start-daemon master --mcast-interface eth0 --syncid 1", "--set 3600 0 0"}},
		{"again", "eth0", 1, []time.Duration{90 * time.Second}, nil},
		{"other id", "eth0", 2, nil, []string{"--stop-daemon backup", "--start-daemon backup --mcast-interface eth0 --syncid 2", "--stop-daemon master", "--start-daemon master --mcast-interface eth0 --syncid 2"}},
		{"other interface", "eth1", 2, nil, []string{"--stop-daemon backup", "--start-daemon backup --mcast-interface eth1 --syncid 2", "--stop-daemon master", "--start-daemon master --mcast-interface eth1 --syncid 2"}},
		{"longer hold time", "eth1", 2, []time.Duration{90 * time.Second, 2 * time.Hour}, []string{"--set 14400 0 0"}},
	} {
		s.HoldTimes(step.holds...)
		changed, err := s.Set(t.Context(), step.iface, step.id)
		if err != nil || changed != (step.want != nil) {
			t.Errorf("%s: Set = %v, %v", step.name, changed, err)
		}
		history := f.History()
		if d := cmp.Diff(step.want, append([]string(nil), history[done:]...)); d != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, d)
		}
		done = len(history)
	}
	// A daemon that died is started again, the other is left alone.
	if err := f.StopDaemon(t.Context(), ipvs.Master); err != nil {
		t.Fatal(err)
	}
	s.HoldTimes(2 * time.Hour)
	if changed, err := s.Set(t.Context(), "eth1", 2); err != nil || !changed {
		t.Errorf("Set = %v, %v", changed, err)
	}
	if d := cmp.Diff([]string{"--start-daemon master --mcast-interface eth1 --syncid 2"}, f.History()[done+1:]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for range 2 {
		if err := s.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d, err := f.Daemons(t.Context()); err != nil || len(d) > 0 {
			t.Errorf("daemons %v, %v", d, err)
		}
	}
}

func TestSetErrors(t *testing.T) {
	for name, c := range map[string]struct {
		iface string
		id    uint8
		cause error
		want  string
	}{
		"no interface":   {"", 1, nil, "want an interface's name"},
		"long interface": {strings.Repeat("x", 16), 1, nil, "want an interface's name"},
		"no id":          {"eth0", 0, nil, "an id of 1..255"},
		"no such device": {"eth7", 1, unix.ENODEV, "correct spec.interface of the LoadBalancer"},
		"mixed families": {"eth0", 1, unix.EINVAL, "mixes address families"},
		"no permission":  {"eth0", 1, unix.EPERM, "CAP_NET_ADMIN"},
		"lost answer":    {"eth0", 1, ipvs.ErrTimeout, "no answer in time"},
	} {
		f := ipvs.NewFake()
		f.SetHook(func(string, bool) error { return c.cause })
		_, err := (&Sync{Kernel: f}).Set(t.Context(), c.iface, c.id)
		if err == nil || !strings.Contains(err.Error(), c.want) || c.cause != nil && !errors.Is(err, c.cause) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestTCPTimeout(t *testing.T) {
	for _, c := range []struct {
		holds []time.Duration
		want  time.Duration
	}{
		{nil, time.Hour},
		{[]time.Duration{90 * time.Second, 3 * time.Second}, time.Hour},
		{[]time.Duration{90 * time.Second, time.Hour}, 2 * time.Hour},
		{[]time.Duration{65535 * time.Second}, 131070 * time.Second},
		{[]time.Duration{90 * time.Second, 0}, 131070 * time.Second},
		{[]time.Duration{1 << 62}, 131070 * time.Second},
	} {
		if got := TCPTimeout(c.holds...); got != c.want {
			t.Errorf("TCPTimeout(%v) = %v, want %v", c.holds, got, c.want)
		}
	}
}

func TestSysctls(t *testing.T) {
	for period, want := range map[time.Duration]string{0: "1", 300 * time.Millisecond: "1", 10 * time.Second: "10"} {
		got := Sysctls(api.ConnSync{RefreshPeriod: api.Duration(period)})
		if got["net.ipv4.vs.sync_refresh_period"] != want {
			t.Errorf("refresh period %v: %q, want %q", period, got["net.ipv4.vs.sync_refresh_period"], want)
		}
	}
}

const table = `Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP 0A000001 9C40 C0000201 00B3 0A000101 00B3 ESTABLISHED     893
TCP 0A000002 9C40 C0000201 00B3 0A000101 00B3 SYN_RECV         59
UDP 0A000002 9C40 C0000201 00B3 0A000101 00B3 UDP              59
TCP 0A000002 9C40 C0000201 0050 0A000101 0050 ESTABLISHED      59
TCP C0000201 00B3 0A000002 9C40 0A000101 0050 ESTABLISHED      59
TCP 2001:0db8:0000:0000:0000:0000:0000:0009 C350 2001:0db8:0000:0000:0000:0000:0000:0001 00B3 2001:0db8:0001:0000:0000:0000:0000:0001 00B3 ESTABLISHED     893
TCP 
TCP 0A000002
`

func TestCount(t *testing.T) {
	for _, c := range []struct {
		vips []string
		want int
	}{
		{nil, 0},
		{[]string{"192.0.2.1:179"}, 2},
		{[]string{"192.0.2.1:80"}, 1},
		{[]string{"[2001:db8::1]:179"}, 1},
		{[]string{"192.0.2.1:179", "[2001:db8::1]:179", "192.0.2.1:179"}, 3},
		{[]string{"192.0.2.2:179"}, 0},
	} {
		var vips []netip.AddrPort
		for _, v := range c.vips {
			vips = append(vips, netip.MustParseAddrPort(v))
		}
		if n, err := count(t.Context(), strings.NewReader(table), vips); err != nil || n != c.want {
			t.Errorf("count(%v) = %d, %v; want %d", c.vips, n, err, c.want)
		}
	}
}

func TestCountHonoursContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := io.MultiReader(strings.NewReader(table), endless{cancel})
	if _, err := count(ctx, r, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
}

// endless is a table that never ends; reading it ends the patience.
type endless struct{ cancel func() }

func (e endless) Read(p []byte) (int, error) {
	e.cancel()
	return copy(p, strings.Repeat("TCP\n", len(p)/4)), nil
}

func FuzzCount(f *testing.F) {
	f.Add([]byte(table))
	vip := netip.MustParseAddrPort("192.0.2.1:179")
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := count(t.Context(), bytes.NewReader(data), []netip.AddrPort{vip}); n < 0 {
			t.Error(n, err)
		}
	})
}

func BenchmarkCount4000(b *testing.B) {
	var text bytes.Buffer
	for i := range 4000 {
		fmt.Fprintf(&text, "TCP %08X 9C40 C0000201 00B3 0A000101 00B3 ESTABLISHED     893\n", i)
	}
	vip := netip.MustParseAddrPort("192.0.2.1:179")
	b.ReportAllocs()
	for b.Loop() {
		if n, err := count(b.Context(), bytes.NewReader(text.Bytes()), []netip.AddrPort{vip}); n != 4000 {
			b.Fatal(n, err)
		}
	}
}
