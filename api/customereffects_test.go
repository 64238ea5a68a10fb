package api_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/peerage/peerage/api"
)

// tenants is a state with two pools, a neighbour in one, and customers.
func tenants(t testing.TB, customers string) *api.State {
	t.Helper()
	st := &api.State{Pools: map[string]*api.Pool{}, Customers: map[string]*api.Customer{}}
	text := ""
	for _, name := range []string{"a", "b"} {
		neighbors := ""
		if name == "a" {
			neighbors = ", neighbors: [{name: old, prefix: 192.0.2.0/24, as: 64900, md5Secret: k}]"
		}
		text += fmt.Sprintf("---\napiVersion: peerage/v1\nkind: Pool\nmetadata: {name: %s}\nspec: {vips: [203.0.113.%d], realServers: [rs-1], speaker: {localAS: 64700%s}}\n", name, len(text)%200+1, neighbors)
	}
	for line := range strings.SplitSeq(customers, "\n") {
		if name, spec, found := strings.Cut(strings.TrimSpace(line), " "); found {
			text += fmt.Sprintf("---\napiVersion: peerage/v1\nkind: Customer\nmetadata: {name: %s}\nspec: %s\n", name, spec)
		}
	}
	objects, err := api.Parse("x", []byte(strings.TrimPrefix(text, "---\n")))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		switch o := o.(type) {
		case *api.Pool:
			st.Pools[o.Name] = o
		case *api.Customer:
			st.Customers[o.Name] = o
		}
	}
	return st
}

func TestCustomerEffects(t *testing.T) {
	const one = "c {pools: [a], neighbors: [{prefix: 10.0.0.0/8, as: [1, 2], md5Secret: k}]}"
	for name, tc := range map[string]struct {
		before, after string
		want          string
	}{
		"nothing":             {one, one, ""},
		"a new one":           {"", one, ""},
		"limits":              {one, "c {pools: [a], neighbors: [{prefix: 10.0.0.0/8, as: [1, 2], md5Secret: k}], holdTime: 30s, ttlSecurity: 1, maxPrefixes: {limit: 1}, limits: {memoryMiB: 1}}", ""},
		"another AS too":      {one, "c {pools: [a], neighbors: [{prefix: 10.0.0.0/8, as: [3, 2, 1], md5Secret: k}]}", ""},
		"any AS":              {one, "c {pools: [a], neighbors: [{prefix: 10.0.0.0/8, md5Secret: k}]}", ""},
		"a pool too":          {one, "c {pools: [a, b], neighbors: [{prefix: 10.0.0.0/8, as: [1, 2], md5Secret: k}]}", ""},
		"families in order":   {one + "\n", "c {pools: [a], families: [ipv6-unicast, ipv4-unicast], neighbors: [{prefix: 10.0.0.0/8, as: [1, 2], md5Secret: k}]}", ""},
		"one AS less":         {one, "c {pools: [a], neighbors: [{prefix: 10.0.0.0/8, as: [2], md5Secret: k}]}", "c changed: sessions from 10.0.0.0/8 in pool a end: those of another AS number than 2\n"},
		"a key":               {one, "c {pools: [a], neighbors: [{prefix: 10.0.0.0/8, as: [1, 2]}]}", "c changed: sessions from 10.0.0.0/8 in pool a need another TCP-MD5 key from their next connection on; servers with BIRD end them at once\n"},
		"a key and an AS":     {one, "c {pools: [a], neighbors: [{prefix: 10.0.0.0/8, as: [3], md5Secret: l}]}", "c changed: sessions from 10.0.0.0/8 in pool a end: those of another AS number than 3; sessions from 10.0.0.0/8 in pool a need another TCP-MD5 key from their next connection on; servers with BIRD end them at once\n"},
		"a key and a client":  {"c {pools: [a], mode: reflect, neighbors: [{prefix: 10.0.0.0/8}]}", "c {pools: [a], mode: reflect, neighbors: [{prefix: 10.0.0.0/8, nonClient: true, md5Secret: l}]}", "c changed: sessions from 10.0.0.0/8 in pool a end: client and non-client are other sessions\n"},
		"a family less":       {one, "c {pools: [a], families: [ipv4-unicast], neighbors: [{prefix: 10.0.0.0/8, as: [1, 2], md5Secret: k}]}", "c changed: every session ends: other families\n"},
		"another pool":        {one, "c {pools: [b], neighbors: [{prefix: 10.0.0.0/8, as: [1, 2], md5Secret: k}]}", "c changed: its sessions in pool a end\n"},
		"another prefix":      {one, "c {pools: [a], neighbors: [{prefix: 10.1.0.0/16, as: [1, 2], md5Secret: k}]}", "c changed: sessions from 10.0.0.0/8 in pool a end: the neighbor goes\n"},
		"a wider prefix":      {one, "c {pools: [a], neighbors: [{prefix: 8.0.0.0/5, as: [1, 2], md5Secret: k}]}", ""},
		"gone":                {one, "", "c deleted: every session of its 1 neighbor ends\n"},
		"a wider other":       {one + "\nd {pools: [a], neighbors: [{prefix: 0.0.0.0/0}]}", "d {pools: [a], neighbors: [{prefix: 0.0.0.0/0}]}", "c deleted: every session of its 1 neighbor ends\n"},
		"a narrower other":    {one, one + "\nd {pools: [a, b], neighbors: [{prefix: 10.1.0.0/16}]}", "d created: sessions from 10.1.0.0/16 in pool a end: they were c's\n"},
		"out of the pool":     {"", "d {pools: [a, b], neighbors: [{prefix: 192.0.2.128/25}]}", "d created: sessions from 192.0.2.128/25 in pool a end: they were a.old's\n"},
		"another group":       {"c {pools: [a], mode: reflect, group: x, neighbors: [{prefix: 10.0.0.0/8}]}", "c {pools: [a], mode: reflect, neighbors: [{prefix: 10.0.0.0/8}]}", "c changed: every session ends: another group\n"},
		"another mode":        {one, "c {pools: [a], mode: reflect, neighbors: [{prefix: 10.0.0.0/8}]}", "c changed: every session ends: mode reflect instead of collect\n"},
		"no client any more":  {"c {pools: [a], mode: reflect, neighbors: [{prefix: 10.0.0.0/8}]}", "c {pools: [a], mode: reflect, neighbors: [{prefix: 10.0.0.0/8, nonClient: true}]}", "c changed: sessions from 10.0.0.0/8 in pool a end: client and non-client are other sessions\n"},
		"given to another":    {one + "\nd {pools: [a], neighbors: [{prefix: 11.0.0.0/8}]}", "c {pools: [a], neighbors: [{prefix: 12.0.0.0/8}]}\nd {pools: [a], neighbors: [{prefix: 11.0.0.0/8}, {prefix: 10.0.0.0/8}]}", "c changed: sessions from 10.0.0.0/8 in pool a end: they become d's\nd changed: sessions from 10.0.0.0/8 in pool a end: they were c's\n"},
		"more than are shown": {"c {pools: [a], neighbors: [{prefix: 20.0.0.0/8}" + others(15) + "]}", "c {pools: [a], neighbors: [{prefix: 20.0.0.0/8}]}", "c changed: sessions from 10.0.0.0/16 in pool a end: the neighbor goes ... and 5 more\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var got strings.Builder
			for _, e := range api.CustomerEffects(tenants(t, tc.before), tenants(t, tc.after)) {
				text := strings.Join(e.Effects, "; ")
				if len(e.Effects) > 3 {
					text = e.Effects[0] + " ... " + e.Effects[len(e.Effects)-1]
				}
				fmt.Fprintf(&got, "%s %s: %s\n", e.Customer, e.Action, text)
			}
			if diff := cmp.Diff(tc.want, got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func others(n int) string {
	text := ""
	for i := range n {
		text += fmt.Sprintf(", {prefix: 10.%d.0.0/16}", i)
	}
	return text
}

func TestCustomerRefusals(t *testing.T) {
	four := ""
	for i := range 4 {
		four += fmt.Sprintf("c%d {pools: [a, b], neighbors: [{prefix: 10.%d.0.0/16}]}\n", i, i)
	}
	lines := strings.SplitAfter(four, "\n")
	const catchAll = "any {pools: [a, b], neighbors: [{prefix: 0.0.0.0/0}]}\n"
	for name, tc := range map[string]struct {
		before, after string
		want          []string
	}{
		"nobody":            {four, four, nil},
		"one":               {four, lines[0] + lines[1] + lines[2], nil},
		"half of one pool":  {four, lines[0] + lines[1], nil},
		"most":              {four, lines[0], []string{"pool a: 3 of 5 customers would go, and their sessions end", "pool b: 3 of 4 customers would go, and their sessions end"}},
		"all":               {four, "", []string{"pool a: 4 of 5 customers would go, and their sessions end", "pool b: 4 of 4 customers would go, and their sessions end"}},
		"the only one":      {strings.Replace(lines[0], "a, b", "b", 1), "", nil},
		"out of one pool":   {four, strings.ReplaceAll(four, "a, b", "a"), []string{"pool b: 4 of 4 customers would go, and their sessions end"}},
		"other prefixes":    {four, strings.ReplaceAll(four, "10.", "11."), []string{"pool a: 4 of 5 customers would go, and their sessions end", "pool b: 4 of 4 customers would go, and their sessions end"}},
		"a catch-all stays": {four + catchAll, catchAll, []string{"pool a: 4 of 6 customers would go, and their sessions end", "pool b: 4 of 5 customers would go, and their sessions end"}},
		"one of each pool": {strings.Replace(lines[0], "a, b", "a", 1) + strings.Replace(lines[1], "a, b", "b", 1), "",
			[]string{"pool b: 2 of the 3 customers of all pools would go, and their sessions end"}},
		"one for all": {four, "all {pools: [a, b], neighbors: [{prefix: 10.0.0.0/8}]}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, r := range api.CustomerRefusals(tenants(t, tc.before), tenants(t, tc.after)) {
				if r.Risk != api.RiskManyCustomers || !strings.HasPrefix(r.Message, "pool "+r.Pool+":") {
					t.Errorf("%+v", r)
				}
				got = append(got, r.Message)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Who owns an address is whom the longest prefix says, as a plain search finds.
func TestOwner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := &api.State{Pools: map[string]*api.Pool{"a": {Meta: api.Meta{Name: "a"}}}, Customers: map[string]*api.Customer{}}
		owners := map[netip.Prefix]string{}
		for i := range rapid.IntRange(0, 20).Draw(t, "customers") {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, rapid.ByteMax(3).Draw(t, "b"), rapid.ByteMax(3).Draw(t, "c"), 0}), rapid.IntRange(0, 24).Draw(t, "bits")).Masked()
			if owners[p] != "" {
				continue
			}
			name := fmt.Sprint("c", i)
			owners[p] = name
			st.Customers[name] = &api.Customer{Meta: api.Meta{Name: name}, Spec: api.CustomerSpec{Pools: []string{"a"}, Neighbors: []api.CustomerNeighbor{{Prefix: p}}}}
		}
		addr := netip.AddrFrom4([4]byte{10, rapid.ByteMax(3).Draw(t, "x"), rapid.ByteMax(3).Draw(t, "y"), 1})
		want, bits := "", -1
		for _, p := range slices.Collect(maps.Keys(owners)) {
			if p.Contains(addr) && p.Bits() > bits {
				want, bits = owners[p], p.Bits()
			}
		}
		if got, found := st.Owner(addr); got != want || found != (want != "") {
			t.Fatalf("%v is %q's, not %q's", addr, got, want)
		}
	})
}
