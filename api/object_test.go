package api_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/peerage/peerage/api"
	"pgregory.net/rapid"
)

var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func genAddr(t *rapid.T, label string) netip.Addr {
	if rapid.Bool().Draw(t, label+" is v4") {
		return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, label)))
	}
	return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, label)))
}

func genAddrs(t *rapid.T, label string) []netip.Addr {
	out := make([]netip.Addr, rapid.IntRange(0, 3).Draw(t, label+" number"))
	for i := range out {
		out[i] = genAddr(t, fmt.Sprint(label, i))
	}
	return out
}

func genDuration(t *rapid.T, label string) api.Duration {
	return api.Duration(rapid.Int64Range(0, int64(200*time.Hour)).Draw(t, label))
}

func genQuota(t *rapid.T, label string) api.Quota {
	q := api.Quota{N: rapid.IntRange(0, 100).Draw(t, label), Percent: rapid.Bool().Draw(t, label+" percent")}
	if q.N == 0 && !q.Percent && rapid.Bool().Draw(t, label+" given") {
		q.Percent = true
	}
	return q
}

var name = rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?`)

func genMeta(t *rapid.T) api.Meta {
	m := api.Meta{Name: name.Draw(t, "name"), Generation: rapid.Int64Range(0, 1<<40).Draw(t, "generation")}
	if rapid.Bool().Draw(t, "labelled") {
		m.Labels = map[string]string{"rack": rapid.StringN(1, 10, -1).Draw(t, "label")}
	}
	return m
}

func genPool(t *rapid.T) *api.Pool {
	p := &api.Pool{Meta: genMeta(t), Spec: api.PoolSpec{
		VIPs: genAddrs(t, "vip"), Port: rapid.Uint16().Draw(t, "port"),
		Scheduler: api.Scheduler(rapid.SampledFrom([]string{"", "mh", "rr", "x"}).Draw(t, "scheduler")),
		HealthCheck: api.HealthCheck{Interval: genDuration(t, "interval"), Timeout: genDuration(t, "timeout"),
			Fall: rapid.IntRange(0, 5).Draw(t, "fall")},
		Guards:  api.Guards{MinHealthy: genQuota(t, "healthy"), MaxShrink: genQuota(t, "shrink")},
		Speaker: api.Speaker{LocalAS: rapid.Uint32().Draw(t, "as"), HoldTime: genDuration(t, "hold")},
	}}
	for i := range rapid.IntRange(0, 3).Draw(t, "neighbors") {
		a := genAddr(t, fmt.Sprint("prefix", i))
		p.Spec.Speaker.Neighbors = append(p.Spec.Speaker.Neighbors, api.Neighbor{Name: name.Draw(t, "neighbor"),
			Prefix: netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")), AS: rapid.Uint32().Draw(t, "neighbor as")})
	}
	return p
}

func genLB(t *rapid.T) *api.LoadBalancer {
	l := &api.LoadBalancer{Meta: genMeta(t), Spec: api.LoadBalancerSpec{Addresses: genAddrs(t, "address"), Interface: "eth0"}}
	if rapid.Bool().Draw(t, "med given") {
		l.Spec.MED = new(rapid.Uint32().Draw(t, "med"))
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "peers") {
		p := api.FabricPeer{Name: name.Draw(t, "peer"), Address: genAddr(t, fmt.Sprint("peer", i)), HoldTime: genDuration(t, "hold")}
		if rapid.Bool().Draw(t, "bfd given") {
			p.BFD = new(rapid.Bool().Draw(t, "bfd"))
		}
		l.Spec.Fabric.Peers = append(l.Spec.Fabric.Peers, p)
	}
	return l
}

func genCustomer(t *rapid.T) *api.Customer {
	c := &api.Customer{Meta: genMeta(t), Spec: api.CustomerSpec{
		Pools: rapid.SliceOfN(name, 0, 2).Draw(t, "pools"), Group: rapid.SampledFrom([]string{"", "g"}).Draw(t, "group"),
		Mode:     api.CustomerMode(rapid.SampledFrom([]string{"", "collect", "reflect", "x"}).Draw(t, "mode")),
		HoldTime: genDuration(t, "hold"), MinHoldTime: genDuration(t, "least hold"), TTLSecurity: rapid.IntRange(-1, 256).Draw(t, "ttl"),
		Limits: api.CustomerLimits{MemoryMiB: rapid.IntRange(-1, 100).Draw(t, "memory")},
	}}
	for i := range rapid.IntRange(0, 3).Draw(t, "neighbors") {
		a := genAddr(t, fmt.Sprint("prefix", i))
		c.Spec.Neighbors = append(c.Spec.Neighbors, api.CustomerNeighbor{
			Prefix: netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")),
			AS:     rapid.SliceOfN(rapid.Uint32(), 1, 2).Draw(t, "neighbor as"), NonClient: rapid.Bool().Draw(t, "non-client")})
	}
	if rapid.Bool().Draw(t, "bounded") {
		c.Spec.MaxPrefixes = &api.MaxPrefixes{Limit: rapid.IntRange(0, 10).Draw(t, "limit"), WarnAt: rapid.IntRange(0, 101).Draw(t, "warn at")}
	}
	return c
}

func genObject(t *rapid.T) api.Object {
	switch rapid.SampledFrom(api.Kinds()).Draw(t, "kind") {
	case api.KindPool:
		return genPool(t)
	case api.KindLoadBalancer:
		return genLB(t)
	case api.KindCustomer:
		return genCustomer(t)
	case api.KindRealServer:
		return &api.RealServer{Meta: genMeta(t), Spec: api.RealServerSpec{Addresses: genAddrs(t, "address"), Weight: rapid.IntRange(-1, 9).Draw(t, "weight")}}
	default:
		return &api.Settings{Meta: genMeta(t), Spec: api.SettingsSpec{LeaseTTL: genDuration(t, "ttl"),
			ConnSync: api.ConnSync{ID: rapid.Uint8().Draw(t, "id"), Warmup: genDuration(t, "warmup")}}}
	}
}

func marshal(t interface{ Fatal(...any) }, o api.Object) []byte {
	data, err := api.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What Default filled in, a second Default leaves alone; Marshal and
// Unmarshal lose nothing of it; nothing panics whatever the values.
func TestObjectProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := genObject(t)
		o.Default()
		once := marshal(t, o)
		o.Default()
		if diff := cmp.Diff(string(once), string(marshal(t, o))); diff != "" {
			t.Fatal("Default is not idempotent", diff)
		}
		back, err := api.Unmarshal(once)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(o, back, compare); diff != "" {
			t.Fatal("round trip", diff)
		}
		valid := o.Validate()
		// What one program marshals, another parses as a file, with the same verdict.
		parsed, err := api.Parse("x", once)
		if (err == nil) != (valid == nil) {
			t.Fatalf("Validate: %v\nParse: %v", valid, err)
		}
		if err == nil {
			if diff := cmp.Diff([]api.Object{o}, parsed, compare); diff != "" {
				t.Fatal("Parse", diff)
			}
		}
	})
}

func TestUnmarshalRefuses(t *testing.T) {
	good := `{"apiVersion":"peerage/v1","kind":"RealServer","metadata":{"name":"rs-1"},"spec":{"addresses":["192.0.2.1"]}}`
	o, err := api.Unmarshal([]byte(good))
	if err != nil || o.(*api.RealServer).Spec.Weight != 1 {
		t.Fatalf("%v, %v", o, err)
	}
	for name, tc := range map[string]struct{ text, want string }{
		"truncated":       {good[:len(good)-10], "object: the JSON is truncated"},
		"empty":           {"", "object: the JSON is truncated"},
		"trailing":        {good + "{}", "object: more data after the JSON value"},
		"future version":  {strings.Replace(good, "v1", "v2", 1), `object RealServer/rs-1: apiVersion "peerage/v2" is not known; this version reads peerage/v1`},
		"unknown kind":    {strings.Replace(good, "RealServer", "Tenant", 1), `kind "Tenant" is not known; the kinds are [Settings LoadBalancer RealServer Pool Customer]`},
		"unknown key":     {strings.Replace(good, `"addresses"`, `"colour":1,"addresses"`, 1), `RealServer/rs-1: json: unknown field "colour"`},
		"unknown root":    {strings.Replace(good, `"spec"`, `"status":{},"spec"`, 1), `object: json: unknown field "status"`},
		"not an object":   {`[]`, "object: json: cannot unmarshal array into Go value of type api.envelope"},
		"spec is a list":  {strings.Replace(good, `{"addresses":["192.0.2.1"]}`, `[]`, 1), "RealServer/rs-1: json: cannot unmarshal array into Go value of type api.RealServerSpec"},
		"two in the spec": {strings.Replace(good, `]}}`, `]}}}`, 1), "object: more data after the JSON value"},
	} {
		if _, err := api.Unmarshal([]byte(tc.text)); err == nil || err.Error() != tc.want {
			t.Errorf("%s: %v, not %s", name, err, tc.want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	if got := api.ExitCodeOf(nil); got != api.ExitOK {
		t.Error(got)
	}
	plain := fmt.Errorf("plain")
	if got := api.ExitCodeOf(plain); got != api.ExitFailure {
		t.Error(got)
	}
	err := fmt.Errorf("wrapped: %w", api.WithExit(api.ExitRefused, plain))
	if api.ExitCodeOf(err) != api.ExitRefused || err.Error() != "wrapped: plain" || api.Silent(err) {
		t.Errorf("%v: %d", err, api.ExitCodeOf(err))
	}
	if !api.Silent(api.WithExit(api.ExitChanges, nil)) {
		t.Error("a bare code is not silent")
	}
	last := api.ExitCode(-1)
	for _, c := range api.ExitCodes() {
		if c <= last || strings.HasPrefix(c.String(), "exit code") {
			t.Errorf("%d: %v", c, c)
		}
		last = c
	}
}
