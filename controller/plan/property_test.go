package plan

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/peerage/peerage/api"
)

// happening draws one thing that may happen to a site.
func happening(t *rapid.T, s *site, fresh *int) {
	lb := fmt.Sprintf("lb-%d", rapid.IntRange(1, 3).Draw(t, "lb"))
	members := s.pool().RealServers
	server := "rs-1"
	if len(members) > 0 {
		server = rapid.SampledFrom(members).Draw(t, "server")
	}
	ok := rapid.Bool().Draw(t, "ok")
	switch rapid.SampledFrom([]string{
		"path", "path", "speaker", "see", "everything", "blind", "depool", "depool", "undo", "weight", "join", "leave",
		"poison", "shuffle", "lb dies", "lb lives", "server node", "apply", "time", "address", "med", "missing",
	}).Draw(t, "happening") {
	case "path":
		s.path(lb, server, ok)
	case "speaker":
		s.speaker(server, ok)
	case "see":
		s.see(ok, server)
	case "everything":
		s.see(ok, members...)
	case "blind":
		for _, m := range members {
			s.path(lb, m, ok)
			if rapid.Bool().Draw(t, "recent") {
				s.Paths[lb].At = s.now
				s.Paths[lb].Paths["edge"][m] = api.Path{OK: ok, Since: s.now}
			}
		}
	case "depool":
		s.depool(server)
		if ok {
			s.depool(server, api.RiskEmptyPool)
		}
		if rapid.Bool().Draw(t, "until") {
			s.Intents[server].Depooled.Until = s.now.Add(20 * time.Second)
		}
	case "undo":
		s.undo(server)
	case "weight":
		s.Intents[server] = &api.ServerIntent{Weight: &api.WeightIntent{Value: rapid.IntRange(1, 8).Draw(t, "weight")}}
	case "join":
		*fresh++
		s.addServer(fmt.Sprintf("rs-%d", *fresh), *fresh)
		if !ok {
			s.see(false, fmt.Sprintf("rs-%d", *fresh))
		}
	case "leave":
		s.pool().RealServers = slices.DeleteFunc(slices.Clone(members), func(m string) bool { return m == server })
	case "poison":
		s.pool().RealServers = members[:rapid.IntRange(0, len(members)).Draw(t, "left")]
	case "shuffle":
		s.shuffle(rapid.Int64().Draw(t, "seed"))
	case "lb dies":
		delete(s.LiveLBs, lb)
	case "lb lives":
		s.LiveLBs[lb] = &api.Live{StartedAt: noon}
	case "server node":
		if s.LiveRealServers[server] != nil {
			delete(s.LiveRealServers, server)
		} else {
			s.LiveRealServers[server] = &api.Live{StartedAt: noon}
		}
	case "apply":
		s.apply()
	case "time":
		s.after(time.Duration(rapid.IntRange(0, 30).Draw(t, "seconds")) * time.Second)
	case "address":
		*fresh++
		if rs := s.RealServers[server]; rs != nil {
			rs.Spec.Addresses = addresses(2, *fresh)
		}
	case "med":
		s.LoadBalancers[lb].Spec.MED = new(uint32(rapid.IntRange(1, 3).Draw(t, "med")))
	case "missing":
		delete(s.RealServers, server)
	}
}

// shuffle reorders every list whose order means nothing.
func (s *site) shuffle(seed int64) {
	r := rand.New(rand.NewSource(seed))
	p := s.pool()
	p.RealServers, p.VIPs = shuffled(r, p.RealServers), shuffled(r, p.VIPs)
	p.LoadBalancers, p.Speaker.Neighbors = shuffled(r, p.LoadBalancers), shuffled(r, p.Speaker.Neighbors)
	for _, rs := range s.RealServers {
		rs.Spec.Addresses = shuffled(r, rs.Spec.Addresses)
	}
	for _, lb := range s.LoadBalancers {
		lb.Spec.Addresses = shuffled(r, lb.Spec.Addresses)
	}
}

func shuffled[T any](r *rand.Rand, list []T) []T {
	list = slices.Clone(list)
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func encode(t *rapid.T, v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestProperties lives through random histories and checks, at every step,
// what must be true of any plan.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSite(rapid.IntRange(1, 6).Draw(t, "servers"), 3)
		s.step(t)
		s.apply()
		fresh := 10
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			for range rapid.IntRange(1, 3).Draw(t, "at once") {
				happening(t, s, &fresh)
			}
			before := encode(t, s.State)
			in := Inputs{State: s.State, Now: s.now}
			one := Compute(in)
			if after := encode(t, s.State); after != before {
				t.Fatalf("inputs were changed:\n%s\n%s", before, after)
			}
			s.shuffle(int64(fresh))
			if two := Compute(in); encode(t, one) != encode(t, two) {
				t.Fatalf("the order of inputs shows:\n%s\n%s", encode(t, one), encode(t, two))
			}
			checkPool(t, s, one.Pools[0])
			s.store(one.Pools[0])
			checkSettles(t, s)
		}
	})
}

func checkPool(t *rapid.T, s *site, r PoolResult) {
	before, after := r.Before, r.Plan
	if after == nil {
		t.Fatalf("the pool lost its plan: %+v", r)
	}
	changed := !equal(before, after)
	switch {
	case changed && after.Generation != before.Generation+1, !changed && after.Generation != before.Generation:
		t.Fatalf("generation %d after %d, content changed: %v", after.Generation, before.Generation, changed)
	case r.Write != (changed || !sameHeld(before.Held, after.Held)):
		t.Fatalf("write: %v, content changed: %v, held: %v, was %v", r.Write, changed, after.Held, before.Held)
	}
	checkOrder(t, before, after)
	out := 0
	for _, d := range after.Destinations {
		in := d.State == api.ServerServing || d.State == api.ServerSuspect
		if in && d.Weight != d.Nominal || !in && d.Weight != 0 || d.Nominal < 1 || d.Nominal > 8 {
			t.Fatalf("%s has weights %d/%d", d.State, d.Weight, d.Nominal)
		}
		i := s.Intents[d.Server]
		wanted := i != nil && i.Depooled.Active(s.now)
		if wanted != (d.State == api.ServerDepooled) && (after.Held == nil || !strings.Contains(after.Held.Reason, "intents and health together")) {
			t.Fatalf("%s is %s, depooled by intent: %v", d.Server, d.State, wanted)
		}
		for _, was := range before.Destinations {
			if was.Server == d.Server && was.Weight > 0 && d.State == api.ServerUnhealthy {
				out++
			}
		}
	}
	limit := s.pool().Guards.MaxShrink.Floor(joined(after.Destinations))
	if out > limit {
		t.Fatalf("health takes %d out in one step, maxShrink is %d", out, limit)
	}
	lost := 0
	for _, was := range before.Destinations {
		if was.State != api.ServerJoining && !slices.ContainsFunc(after.Destinations, func(d api.Destination) bool { return d.Server == was.Server }) {
			lost++
		}
	}
	if limit := s.pool().Guards.MaxShrink.Floor(joined(before.Destinations)); lost > limit {
		t.Fatalf("%d servers are removed in one step, maxShrink is %d", lost, limit)
	}
	if empties(before, after) && !slices.ContainsFunc(after.Destinations, func(d api.Destination) bool {
		i := s.Intents[d.Server]
		return i != nil && i.Depooled.Active(s.now) && i.Depooled.Accepts(api.RiskEmptyPool)
	}) {
		t.Fatalf("the pool was emptied, and nobody accepted that")
	}
	announced := 0
	for _, a := range after.Announcements {
		if a.Announce {
			announced++
		}
	}
	if announced == 0 {
		t.Fatalf("nobody announces the pool")
	}
}

// checkOrder: those that stay keep their order, newcomers follow sorted. One
// that was moved to the end is a newcomer: its address was replaced.
func checkOrder(t *rapid.T, before, after *api.Plan) {
	old := map[string]int{}
	for i, d := range before.Destinations {
		old[d.Server] = i
	}
	last, lastNew := -1, ""
	for _, d := range after.Destinations {
		i, ok := old[d.Server]
		if ok && replaced(before.Destinations[i].Addresses, d.Addresses) {
			ok = false
		}
		switch {
		case ok && (i < last || lastNew != ""):
			t.Fatalf("%s lost its place: %v after %v", d.Server, after.Destinations, before.Destinations)
		case ok:
			last = i
		case d.Server < lastNew:
			t.Fatalf("newcomers are not sorted: %s after %s", d.Server, lastNew)
		default:
			lastNew = d.Server
		}
	}
}

// checkSettles: with nothing happening, plans come to rest. A load balancer
// that has to announce again although it was sick takes one step more, since
// its votes count from then on.
func checkSettles(t *rapid.T, s *site) {
	for range 3 {
		r := Compute(Inputs{State: s.State, Now: s.now}).Pools[0]
		if !r.Write {
			return
		}
		checkPool(t, s, r)
		s.store(r)
	}
	t.Fatalf("the plan does not come to rest: %s", show(Compute(Inputs{State: s.State, Now: s.now}).Pools[0]))
}

// Every field of a plan that nodes act on makes a new generation.
func TestEqualCoversEveryField(t *testing.T) {
	s := newSite(1, 1)
	s.pool().Speaker.Neighbors = []api.Neighbor{{Name: "a"}}
	base := s.step(t).Plan
	for _, v := range []any{*base, base.Destinations[0], base.Announcements[0], base.Speaker, base.Speaker.Neighbors[0], base.HealthCheck} {
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			if f := typ.Field(i).Name; typ == reflect.TypeFor[api.Plan]() && (f == "Generation" || f == "Held") {
				continue
			}
			other := copyPlan(t, base)
			changeField(t, part(other, typ).Field(i))
			if equal(base, other) {
				t.Errorf("%s.%s makes no difference", typ.Name(), typ.Field(i).Name)
			}
		}
	}
}

func copyPlan(t *testing.T, p *api.Plan) *api.Plan {
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	c := new(api.Plan)
	if err := json.Unmarshal(data, c); err != nil {
		t.Fatal(err)
	}
	if !equal(p, c) {
		t.Fatal("a plan differs from itself after a trip through the store")
	}
	return c
}

// part finds the part of a plan that has the type.
func part(p *api.Plan, typ reflect.Type) reflect.Value {
	for _, v := range []any{p, &p.Destinations[0], &p.Announcements[0], &p.Speaker, &p.Speaker.Neighbors[0], &p.HealthCheck} {
		if e := reflect.ValueOf(v).Elem(); e.Type() == typ {
			return e
		}
	}
	panic("no such part")
}

func changeField(t *testing.T, f reflect.Value) {
	switch f.Kind() {
	case reflect.String:
		f.SetString(f.String() + "x")
	case reflect.Int, reflect.Int64:
		f.SetInt(f.Int() + 1)
	case reflect.Uint16, reflect.Uint32:
		f.SetUint(f.Uint() + 1)
	case reflect.Bool:
		f.SetBool(!f.Bool())
	case reflect.Slice:
		f.Set(reflect.Append(f, reflect.Zero(f.Type().Elem())))
	case reflect.Struct:
		other, ok := map[reflect.Type]any{
			reflect.TypeFor[time.Time]():    noon.Add(time.Minute),
			reflect.TypeFor[netip.Prefix](): netip.MustParsePrefix("10.9.0.0/16"),
			reflect.TypeFor[netip.Addr]():   netip.MustParseAddr("10.9.9.9"),
		}[f.Type()]
		if !ok {
			f.SetZero()
			return
		}
		f.Set(reflect.ValueOf(other))
	default:
		t.Fatalf("cannot change a %s", f.Kind())
	}
}
