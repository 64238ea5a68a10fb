package netfilter

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func services(texts ...string) []netip.AddrPort {
	var s []netip.AddrPort
	for _, t := range texts {
		s = append(s, netip.MustParseAddrPort(t))
	}
	return s
}

func fakes(tracking bool) (r *Rules, v4, v6 *Fake) {
	v4, v6 = NewFake(), NewFake()
	r = With(v4, v6)
	r.Tracking = func() bool { return tracking }
	return r, v4, v6
}

const wantV4 = `*filter
:INPUT
-A INPUT -j PEERAGE-IN
-A INPUT -j SOMEBODY
:OUTPUT
-A OUTPUT -j PEERAGE-OUT
:PEERAGE-OUT
-A PEERAGE-OUT -s 192.0.2.1/32 -p tcp -m tcp --sport 179 --tcp-flags RST RST -j DROP
-A PEERAGE-OUT -s 192.0.2.1/32 -p tcp -m tcp --sport 1790 --tcp-flags RST RST -j DROP
:PEERAGE-IN
-A PEERAGE-IN -d 192.0.2.1/32 -p tcp -m tcp --dport 179 -j RETURN
-A PEERAGE-IN -d 192.0.2.1/32 -p tcp -m tcp --dport 1790 -j RETURN
-A PEERAGE-IN -d 192.0.2.1/32 -p icmp -j RETURN
-A PEERAGE-IN -d 192.0.2.1/32 -j DROP
*raw
:PREROUTING
-A PREROUTING -j PEERAGE-RAW
:PEERAGE-RAW
-A PEERAGE-RAW -d 192.0.2.1/32 -p tcp -m tcp --dport 179 -j CT --notrack
-A PEERAGE-RAW -d 192.0.2.1/32 -p tcp -m tcp --dport 1790 -j CT --notrack
`

func TestSet(t *testing.T) {
	r, v4, v6 := fakes(true)
	if err := v4.Insert("filter", "INPUT", 1, "-j", "SOMEBODY"); err != nil {
		t.Fatal(err)
	}
	before4, before6 := v4.String(), v6.String()
	set := func(want bool, vips ...string) {
		t.Helper()
		if changed, err := r.Set(t.Context(), services(vips...)); err != nil || changed != want {
			t.Errorf("Set(%v) = %v, %v; want %v", vips, changed, err, want)
		}
	}
	set(false)
	set(true, "192.0.2.1:1790", "192.0.2.1:179", "[2001:db8::1]:179", "192.0.2.1:179")
	if d := cmp.Diff(wantV4, v4.String()); d != "" {
		t.Errorf("iptables (-want +got):\n%s", d)
	}
	if text := v6.String(); !strings.Contains(text, "-A PEERAGE-IN -d 2001:db8::1/128 -p ipv6-icmp -j RETURN\n") {
		t.Errorf("ip6tables:\n%s", text)
	}
	set(false, "192.0.2.1:179", "192.0.2.1:1790", "[2001:db8::1]:179")
	// Somebody took away the jump and put the rules out of order.
	for _, err := range []error{
		v4.Delete("filter", "INPUT", "-j", "PEERAGE-IN"), v4.Delete("filter", "PEERAGE-IN", strings.Fields("-d 192.0.2.1/32 -j DROP")...),
		v4.Insert("filter", "PEERAGE-IN", 1, strings.Fields("-d 192.0.2.1/32 -j DROP")...),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	set(true, "192.0.2.1:179", "192.0.2.1:1790", "[2001:db8::1]:179")
	if d := cmp.Diff(wantV4, v4.String()); d != "" {
		t.Errorf("repaired (-want +got):\n%s", d)
	}
	set(true)
	if text := v4.String(); strings.Contains(text, "192.0.2.1") {
		t.Errorf("rules are left:\n%s", text)
	}
	for range 2 {
		if err := r.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v4.String() != before4 || v6.String() != before6 {
			t.Errorf("Remove leaves\n%s%s", v4, v6)
		}
	}
}

// The rule that takes sessions out of tracking would load tracking.
func TestNoTrackingNoRawChain(t *testing.T) {
	r, v4, _ := fakes(false)
	for _, want := range []bool{true, false} {
		if changed, err := r.Set(t.Context(), services("192.0.2.1:179")); err != nil || changed != want {
			t.Errorf("Set = %v, %v; want %v", changed, err, want)
		}
	}
	if text := v4.String(); strings.Contains(text, rawChain) || !strings.Contains(text, "PEERAGE-OUT") {
		t.Errorf("iptables:\n%s", text)
	}
}

func TestErrors(t *testing.T) {
	r, v4, _ := fakes(true)
	for _, bad := range []netip.AddrPort{{}, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), 0), netip.MustParseAddrPort("[::ffff:192.0.2.1]:179")} {
		if _, err := r.Set(t.Context(), []netip.AddrPort{bad}); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
	broken := errors.New("broken")
	v4.SetFail(func(verb string) error {
		if verb == "edit" {
			return broken
		}
		return nil
	})
	changed, err := r.Set(t.Context(), services("192.0.2.1:179", "[2001:db8::1]:179"))
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "iptables: chain PEERAGE-IN") || !changed {
		t.Errorf("Set = %v, %v", changed, err)
	}
	if _, v6 := r.families[0].tables, r.families[1].tables.(*Fake); !strings.Contains(v6.String(), "-j PEERAGE-IN") {
		t.Error("one family keeps the other from being set")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Set(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Open(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "install the package iptables") {
		t.Errorf("Open without iptables: %v", err)
	}
}

func TestScript(t *testing.T) {
	got := script("filter", "PEERAGE-IN", diff([]string{"-d 192.0.2.1/32 -j DROP", "-j RETURN"}, []string{"-j LOG", "-j RETURN", "-j DROP"}))
	want := `*filter
-I PEERAGE-IN 1 -d 192.0.2.1/32 -j DROP
-D PEERAGE-IN 4
-D PEERAGE-IN 2
COMMIT
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestDiffProperty: the edits lead from one list to the other, and never lack
// a rule that is in both.
func TestDiffProperty(t *testing.T) {
	letters := rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c", "d"}))
	rapid.Check(t, func(t *rapid.T) {
		want, have := letters.Draw(t, "want"), letters.Draw(t, "have")
		list := slices.Clone(have)
		inserting := true
		for _, e := range diff(want, have) {
			if e.insert != "" {
				if !inserting {
					t.Fatal("an insertion comes after a deletion")
				}
				list = slices.Insert(list, e.at-1, e.insert)
			} else {
				inserting = false
				list = slices.Delete(list, e.at-1, e.at)
			}
		}
		if !slices.Equal(list, want) {
			t.Fatalf("%v became %v, want %v", have, list, want)
		}
	})
}
