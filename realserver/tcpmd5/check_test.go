package tcpmd5

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	a, b := netip.MustParseAddrPort("192.0.2.1:179"), netip.MustParseAddrPort("192.0.2.2:179")
	six := netip.MustParseAddrPort("[2001:db8::1]:179")
	source := func(at netip.AddrPort, prefix string, signed bool) Source {
		return Source{at, netip.MustParsePrefix(prefix), signed, "customer " + prefix}
	}
	tests := map[string]struct {
		sources []Source
		optmem  int
		want    []string // part of each problem; empty: none
	}{
		"apart":                     {[]Source{source(a, "10.0.0.0/8", true), source(a, "11.0.0.0/8", false)}, 0, []string{"", ""}},
		"unsigned in signed":        {[]Source{source(a, "10.0.0.0/8", true), source(a, "10.1.0.0/16", false)}, 0, []string{"", "lies in 10.0.0.0/8 of customer 10.0.0.0/8"}},
		"the order does not matter": {[]Source{source(a, "10.1.2.3/32", false), source(a, "10.0.0.0/8", true)}, 0, []string{"lies in 10.0.0.0/8", ""}},
		"signed in unsigned":        {[]Source{source(a, "10.0.0.0/8", false), source(a, "10.1.0.0/16", true)}, 0, []string{"", ""}},
		"signed in signed":          {[]Source{source(a, "10.0.0.0/8", true), source(a, "10.1.0.0/16", true)}, 0, []string{"", ""}},
		"at another listener":       {[]Source{source(a, "10.0.0.0/8", true), source(b, "10.1.0.0/16", false)}, 0, []string{"", ""}},
		"all of IPv6":               {[]Source{source(six, "::/0", true), source(six, "2001:db8:1::/48", false)}, 0, []string{"", "lies in ::/0"}},
		"between two":               {[]Source{source(a, "10.0.0.0/8", true), source(a, "10.1.0.0/16", true), source(a, "10.1.1.0/24", false)}, 0, []string{"", "", "lies in 10.1.0.0/16"}},
		"room for two":              {[]Source{source(a, "10.0.0.0/8", true), source(a, "11.0.0.0/8", true), source(a, "12.0.0.0/8", true), source(b, "12.0.0.0/8", true)}, 3 * 136, []string{"", "", "3 TCP-MD5 keys at one address", ""}},
		"a limit that is not known": {[]Source{source(a, "10.0.0.0/8", true)}, 0, []string{""}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, err := range Check(tt.sources, tt.optmem, ", and wait") {
				if got := fmt.Sprint(err); (err == nil) != (tt.want[i] == "") || !strings.Contains(got, tt.want[i]) && err != nil {
					t.Errorf("%s: %v, want %q", tt.sources[i].Prefix, err, tt.want[i])
				}
			}
		})
	}
	got := Check([]Source{source(a, "10.0.0.0/8", true)}, 100, ", and wait")[0].Error()
	want := "1 TCP-MD5 keys at one address do not fit into the kernel's option memory of 100 bytes; run sysctl -w net.core.optmem_max=544, and wait"
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
