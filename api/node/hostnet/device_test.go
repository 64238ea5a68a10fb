package hostnet

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func prefixes(texts ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, t := range texts {
		p = append(p, netip.MustParsePrefix(t))
	}
	return p
}

func TestDiffProperty(t *testing.T) {
	all := prefixes("192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/24", "2001:db8::1/128", "2001:db8::2/128")
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.SampledFrom(all)).Draw(t, "want")
		have := rapid.SliceOfDistinct(rapid.SampledFrom(all), func(p netip.Prefix) netip.Prefix { return p }).Draw(t, "have")
		add, del := diff(want, have)
		for _, p := range all {
			wanted, had := slices.Contains(want, p), slices.Contains(have, p)
			if slices.Contains(add, p) != (wanted && !had) || slices.Contains(del, p) != (had && !wanted) {
				t.Fatalf("want %v, have %v: add %v, del %v", want, have, add, del)
			}
		}
	})
}

func TestValidate(t *testing.T) {
	for _, p := range []string{"192.0.2.1/24", "127.0.0.1/32", "0.0.0.0/32", "224.0.0.1/32", "fe80::1/128", "::1/128", "::ffff:192.0.2.1/128", "2001:db8::/64"} {
		if err := validate(prefixes(p)); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: error %v does not name it", p, err)
		}
	}
	if err := validate([]netip.Prefix{{}}); err == nil {
		t.Error("no prefix at all is accepted")
	}
	if err := validate(prefixes("192.0.2.1/32", "2001:db8::1/128")); err != nil {
		t.Error(err)
	}
}

// The fake is what others test with: it must behave as the device does.
func TestFakeDevice(t *testing.T) {
	f := &FakeDevice{}
	ctx := t.Context()
	if f.String() != "" {
		t.Errorf("an absent device prints %q", f)
	}
	steps := []struct {
		want    []netip.Prefix
		changed bool
		text    string
	}{
		{nil, true, "peerage0 UP\n"},
		{nil, false, "peerage0 UP\n"},
		{prefixes("2001:db8::1/128", "192.0.2.1/32"), true, "peerage0 UP 192.0.2.1/32 2001:db8::1/128\n"},
		{prefixes("192.0.2.1/32", "2001:db8::1/128"), false, "peerage0 UP 192.0.2.1/32 2001:db8::1/128\n"},
		{prefixes("192.0.2.2/32", "2001:db8::1/128"), true, "peerage0 UP 192.0.2.2/32 2001:db8::1/128\n"},
	}
	for _, s := range steps {
		if changed, err := f.Set(ctx, s.want); err != nil || changed != s.changed {
			t.Errorf("Set(%v) = %v, %v; want %v", s.want, changed, err, s.changed)
		}
		if f.String() != s.text {
			t.Errorf("device is %q, want %q", f, s.text)
		}
	}
	if h := f.History(); !slices.Equal(h[2:], []string{"add 192.0.2.2/32", "del 192.0.2.1/32"}) {
		t.Errorf("history %v: want the addition before the deletion", h)
	}
	broken := errors.New("broken")
	f.Fail(broken)
	if _, err := f.Set(ctx, nil); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	f.Fail(nil)
	if err := f.Remove(ctx); err != nil || f.String() != "" {
		t.Errorf("Remove: %v, leaves %q", err, f)
	}
	if list, err := f.List(ctx); err != nil || len(list) > 0 {
		t.Errorf("List = %v, %v", list, err)
	}
	if d := cmp.Diff("remove", f.History()[4]); d != "" {
		t.Error(d)
	}
}
