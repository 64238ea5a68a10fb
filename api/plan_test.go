package api_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/peerage/peerage/api"
)

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func samplePlan() *api.Plan {
	return &api.Plan{
		Schema: api.Schema, Pool: "p", Generation: 7,
		VIPs: addrs("203.0.113.1", "2001:db8:f::1"), Port: 179,
		Scheduler: api.SchedulerMH, Forwarding: api.ForwardingDSR,
		Destinations: []api.Destination{
			{Server: "rs-2", Addresses: addrs("192.0.2.22", "2001:db8::22"), Nominal: 2, Weight: 2, State: api.ServerServing},
			{Server: "rs-1", Addresses: addrs("2001:db8::21", "192.0.2.21"), Nominal: 1, Weight: 0, State: api.ServerDepooled},
			{Server: "rs-3", Addresses: addrs("192.0.2.23"), Nominal: 1, Weight: 1, State: api.ServerServing},
		},
	}
}

func TestPlanTables(t *testing.T) {
	var got strings.Builder
	for _, table := range samplePlan().Tables() {
		got.WriteString(table.String())
	}
	want := `-A -t 203.0.113.1:179 -s mh -b mh-fallback
-a -t 203.0.113.1:179 -r 192.0.2.22:179 -g -w 2 nominal 2
-a -t 203.0.113.1:179 -r 192.0.2.21:179 -g -w 0 nominal 1
-a -t 203.0.113.1:179 -r 192.0.2.23:179 -g -w 1 nominal 1
-A -t [2001:db8:f::1]:179 -s mh -b mh-fallback
-a -t [2001:db8:f::1]:179 -r [2001:db8::22]:179 -g -w 2 nominal 2
-a -t [2001:db8:f::1]:179 -r [2001:db8::21]:179 -g -w 0 nominal 1
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	plan := samplePlan()
	plan.Scheduler = api.SchedulerWLC
	if flags := plan.Tables()[0].Flags; flags != nil {
		t.Errorf("flags of wlc: %v", flags)
	}
	if tables := (&api.Plan{}).Tables(); len(tables) != 0 {
		t.Errorf("an empty plan has tables: %v", tables)
	}
}

// Whatever changes where customers go changes the fingerprint; whatever does
// not, does not.
func TestFingerprint(t *testing.T) {
	base := api.Fingerprint(samplePlan().Tables())
	if len(base) != 16 {
		t.Errorf("fingerprint %q", base)
	}
	tables := samplePlan().Tables()
	slices.Reverse(tables)
	if got := api.Fingerprint(tables); got != base {
		t.Errorf("another order of tables: %s, not %s", got, base)
	}
	meta := samplePlan()
	meta.Generation, meta.Pool, meta.Destinations[0].Reason = 8, "q", "other"
	if got := api.Fingerprint(meta.Tables()); got != base {
		t.Errorf("another generation: %s, not %s", got, base)
	}

	seen := map[string]string{base: "the plan"}
	for name, change := range map[string]func(*api.Plan){
		"order":      func(p *api.Plan) { p.Destinations[0], p.Destinations[1] = p.Destinations[1], p.Destinations[0] },
		"weight":     func(p *api.Plan) { p.Destinations[1].Weight = 1 },
		"nominal":    func(p *api.Plan) { p.Destinations[1].Nominal = 2 },
		"scheduler":  func(p *api.Plan) { p.Scheduler = api.SchedulerSH },
		"port":       func(p *api.Plan) { p.Port = 1790 },
		"vip":        func(p *api.Plan) { p.VIPs = p.VIPs[:1] },
		"removed":    func(p *api.Plan) { p.Destinations = p.Destinations[:2] },
		"address":    func(p *api.Plan) { p.Destinations[2].Addresses = addrs("192.0.2.24") },
		"forwarding": func(p *api.Plan) { p.Forwarding = api.ForwardingIPIP },
		"gue":        func(p *api.Plan) { p.Forwarding = api.ForwardingGUE },
		"unknown":    func(p *api.Plan) { p.Forwarding = "masq" },
		"nothing":    func(p *api.Plan) { *p = api.Plan{} },
	} {
		plan := samplePlan()
		change(plan)
		got := api.Fingerprint(plan.Tables())
		if other, found := seen[got]; found {
			t.Errorf("%s has the fingerprint of %s", name, other)
		}
		seen[got] = name
	}
}

func TestPlanJSON(t *testing.T) {
	want := samplePlan()
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := &api.Plan{}
	if err := json.Unmarshal(data, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if err := json.Unmarshal(data[:len(data)/2], got); err == nil {
		t.Error("a truncated plan was read")
	}
}

func TestQuota(t *testing.T) {
	for _, tc := range []struct {
		text         string
		total        int
		count, floor int
	}{
		{`2`, 10, 2, 2},
		{`2`, 1, 2, 2},
		{`"2"`, 10, 2, 2},
		{`0`, 10, 0, 0},
		{`"0%"`, 10, 0, 0},
		{`"50%"`, 4, 2, 2},
		{`"50%"`, 5, 3, 2},
		{`"1%"`, 4, 1, 0},
		{`"100%"`, 7, 7, 7},
		{`"50%"`, 0, 0, 0},
	} {
		var q api.Quota
		if err := json.Unmarshal([]byte(tc.text), &q); err != nil {
			t.Fatal(err)
		}
		if q == (api.Quota{}) {
			t.Errorf("%s is the quota that was left out", tc.text)
		}
		if q.Count(tc.total) != tc.count || q.Floor(tc.total) != tc.floor {
			t.Errorf("%s of %d: %d and %d, not %d and %d", tc.text, tc.total, q.Count(tc.total), q.Floor(tc.total), tc.count, tc.floor)
		}
		data, err := json.Marshal(q)
		var again api.Quota
		if err != nil || json.Unmarshal(data, &again) != nil || again != q {
			t.Errorf("%s becomes %s", tc.text, data)
		}
	}
	for _, text := range []string{`-1`, `"101%"`, `"half"`, `""`, `"%"`, `1.5`, `"+1"`, `"01"`, `" 1"`, `null`, `[1]`, `99999999999999999999`, `"1`} {
		if err := json.Unmarshal([]byte(text), new(api.Quota)); err == nil {
			t.Errorf("%s was read", text)
		}
	}
}
