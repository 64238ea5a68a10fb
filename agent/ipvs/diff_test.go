package ipvs

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/peerage/peerage/api"
)

var (
	sameTable = cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
		cmpopts.EquateEmpty(),
		cmpopts.SortSlices(func(a, b api.Table) bool { return key(a).Compare(key(b)) < 0 }),
	}
	vips = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")}
)

func server(vip netip.Addr, i int) netip.Addr {
	if vip.Is4() {
		return netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})
	}
	return netip.MustParseAddr(fmt.Sprintf("2001:db8:1::%x", i+1))
}

// drawTables draws tables as a plan may ask for them or, with anything, as a
// kernel may hold them after others wrote to it.
func drawTables(t *rapid.T, label string, anything bool) []api.Table {
	var tables []api.Table
	for _, vip := range rapid.Permutation(vips).Draw(t, label+" vips") {
		if !rapid.Bool().Draw(t, label+" has "+vip.String()) {
			continue
		}
		table := api.Table{VIP: vip, Port: 179, Scheduler: rapid.SampledFrom([]api.Scheduler{api.SchedulerMH, api.SchedulerWLC}).Draw(t, "scheduler")}
		if table.Scheduler == api.SchedulerMH && rapid.Bool().Draw(t, "fallback") {
			table.Flags = []string{"mh-fallback"}
		}
		order := rapid.Permutation([]int{0, 1, 2, 3, 4}).Draw(t, "order")
		for _, i := range order[:rapid.IntRange(0, len(order)).Draw(t, "n")] {
			d := api.TableDestination{Addr: server(vip, i), Port: 179, Forwarding: api.ForwardingDSR, Nominal: rapid.IntRange(1, 3).Draw(t, "nominal")}
			if rapid.Bool().Draw(t, "serving") {
				d.Weight = d.Nominal
			}
			if anything && d.Weight == 0 && rapid.Bool().Draw(t, "unknown") {
				d.Nominal = 0
			}
			if anything && rapid.IntRange(0, 5).Draw(t, "masq") == 0 {
				d.Forwarding = "masq"
			}
			table.Destinations = append(table.Destinations, d)
		}
		tables = append(tables, table)
	}
	return tables
}

func cloneTables(tables []api.Table) []api.Table {
	c := slices.Clone(tables)
	for i := range c {
		c[i].Destinations = slices.Clone(c[i].Destinations)
	}
	return c
}

func TestDiffReachesDesired(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		desired, actual := drawTables(t, "desired", false), drawTables(t, "actual", true)
		reached := cloneTables(actual)
		for _, o := range diff(desired, actual) {
			reached = advance(reached, o)
		}
		if d := cmp.Diff(desired, reached, sameTable); d != "" {
			t.Fatalf("not reached (-want +got):\n%s", d)
		}
		if again := diff(desired, reached); len(again) != 0 {
			t.Fatalf("a second diff is not empty: %v", again)
		}
	})
}

// What serves is never taken away before what replaces it is there.
func TestDiffOrder(t *testing.T) {
	rank := func(o op) int {
		switch o.action {
		case deleteService:
			return 3
		case deleteDestination:
			return 2
		}
		return 1
	}
	rapid.Check(t, func(t *rapid.T) {
		desired, actual := drawTables(t, "desired", false), drawTables(t, "actual", true)
		held, highest := false, 0
		for _, o := range diff(desired, actual) {
			switch o.action {
			case holdSessions, releaseSessions:
				held = o.action == holdSessions
				continue
			}
			// A destination that is only moved comes back at once, its
			// sessions held meanwhile.
			stays := o.action == deleteDestination && slices.ContainsFunc(desired, func(t api.Table) bool {
				return key(t) == o.service && slices.ContainsFunc(t.Destinations, func(d api.TableDestination) bool { return address(d) == address(o.destination) })
			})
			if stays {
				if !held {
					t.Fatalf("%s: its sessions are not held", o)
				}
				continue
			}
			if rank(o) < highest {
				t.Fatalf("%s comes after a deletion", o)
			}
			highest = rank(o)
		}
		if held {
			t.Fatal("sessions stay held")
		}
	})
}

func TestDiffOfOneChange(t *testing.T) {
	table := func(weights ...int) api.Table {
		t := api.Table{VIP: vips[0], Port: 179, Scheduler: api.SchedulerMH, Flags: []string{"mh-fallback"}}
		for i, w := range weights {
			t.Destinations = append(t.Destinations, api.TableDestination{Addr: server(vips[0], i), Port: 179, Forwarding: api.ForwardingDSR, Nominal: 2, Weight: w})
		}
		return t
	}
	forgotten := table(2, 0)
	forgotten.Destinations[1].Nominal = 0
	swapped := table(2, 2, 0)
	swapped.Destinations[0], swapped.Destinations[1] = swapped.Destinations[1], swapped.Destinations[0]
	wlc := table(2)
	wlc.Scheduler, wlc.Flags = api.SchedulerWLC, nil
	service, r1, r2, r3 := "-t 192.0.2.1:179", " -r 10.0.0.1:179", " -r 10.0.0.2:179", " -r 10.0.0.3:179"
	for _, c := range []struct {
		name            string
		desired, actual []api.Table
		want            []string
	}{
		{"nothing", []api.Table{table(2, 0)}, []api.Table{table(2, 0)}, nil},
		{"depool is one write", []api.Table{table(2, 0)}, []api.Table{table(2, 2)}, []string{"-e " + service + r2 + " -g -w 0"}},
		{"pool is one write", []api.Table{table(2, 2)}, []api.Table{table(2, 0)}, []string{"-e " + service + r2 + " -g -w 2"}},
		{"raise comes before lower", []api.Table{table(0, 2)}, []api.Table{table(2, 0)},
			[]string{"-e " + service + r2 + " -g -w 2", "-e " + service + r1 + " -g -w 0"}},
		{"a forgotten nominal weight is written again", []api.Table{table(2, 0)}, []api.Table{forgotten},
			[]string{"-e " + service + r2 + " -g -w 2", "-e " + service + r2 + " -g -w 0"}},
		{"born at weight 0", []api.Table{table(2, 0)}, []api.Table{table(2)},
			[]string{"-a " + service + r2 + " -g -w 2", "-e " + service + r2 + " -g -w 0"}},
		{"removal", []api.Table{table(2)}, []api.Table{table(2, 0)}, []string{"-d " + service + r2}},
		{"order", []api.Table{table(2, 2, 0)}, []api.Table{swapped},
			[]string{"hold sessions", "-d " + service + r2, "-a " + service + r2 + " -g -w 2",
				"-d " + service + r3, "-a " + service + r3 + " -g -w 2", "-e " + service + r3 + " -g -w 0", "release sessions"}},
		{"scheduler", []api.Table{table(2)}, []api.Table{wlc}, []string{"-E " + service + " -s mh -b mh-fallback"}},
		{"service goes", nil, []api.Table{table(2)}, []string{"-D " + service}},
		{"service comes", []api.Table{table(2)}, nil, []string{"-A " + service + " -s mh -b mh-fallback", "-a " + service + r1 + " -g -w 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, o := range diff(c.desired, c.actual) {
				got = append(got, o.String())
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("ops (-want +got):\n%s", d)
			}
		})
	}
}

// TestDiffIsMinimal compares with the shortest way through every state of a
// service of three destinations, found by exhaustive search.
func TestDiffIsMinimal(t *testing.T) {
	vip := vips[0]
	service := netip.AddrPortFrom(vip, 179)
	name := func(t api.Table) string { return t.String() }
	start := api.Table{VIP: vip, Port: 179, Scheduler: api.SchedulerMH}
	neighbours := func(t api.Table) []api.Table {
		var next []api.Table
		for i := range 3 {
			for w := range 3 {
				d := api.TableDestination{Addr: server(vip, i), Port: 179, Forwarding: api.ForwardingDSR, Weight: w}
				present := slices.ContainsFunc(t.Destinations, func(o api.TableDestination) bool { return o.Addr == d.Addr })
				kinds := []action{editDestination, deleteDestination}
				if !present {
					kinds = []action{addDestination}
				}
				for _, a := range kinds {
					c := cloneTables([]api.Table{t})
					next = append(next, advance(c, op{action: a, service: service, destination: d})[0])
				}
			}
		}
		return next
	}
	// Every state, with its neighbours.
	ids := map[string]int{name(start): 0}
	states := []api.Table{start}
	var edges [][]int
	for i := 0; i < len(states); i++ {
		var out []int
		for _, n := range neighbours(states[i]) {
			id, seen := ids[name(n)]
			if !seen {
				id = len(states)
				ids[name(n)] = id
				states = append(states, n)
			}
			out = append(out, id)
		}
		edges = append(edges, out)
	}
	for from := range states {
		if from%4 != 0 {
			continue // all have been tried; these are enough from day to day
		}
		distance := make([]int, len(states))
		for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
			for _, n := range edges[queue[0]] {
				if n != from && distance[n] == 0 {
					distance[n] = distance[queue[0]] + 1
					queue = append(queue, n)
				}
			}
		}
		for to, want := range states {
			if slices.ContainsFunc(want.Destinations, func(d api.TableDestination) bool { return d.Nominal == 0 }) {
				continue // no plan asks for it
			}
			n := 0
			for _, o := range diff([]api.Table{want}, []api.Table{states[from]}) {
				if o.action != holdSessions && o.action != releaseSessions {
					n++
				}
			}
			if n != distance[to] {
				t.Fatalf("from\n%sto\n%stakes %d writes, and %d suffice", states[from], want, n, distance[to])
			}
		}
	}
}

func BenchmarkDiffNothing64x64(b *testing.B) {
	tables := bigTables(64, 64)
	for b.Loop() {
		if ops := diff(tables, tables); len(ops) != 0 {
			b.Fatal(ops)
		}
	}
}

// The part of a round that is ours: the model of the kernel answers at once.
func BenchmarkSetNothing64x64(b *testing.B) {
	desired := bigTables(64, 64)
	table := openTable(b, NewFake(), recordFile(b))
	if _, err := table.Set(b.Context(), desired); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if res, err := table.Set(b.Context(), desired); err != nil || res.Changed != 0 {
			b.Fatal(res.Ops, err)
		}
	}
}

// bigTables are n services of m destinations each.
func bigTables(n, m int) []api.Table {
	tables := make([]api.Table, 0, n)
	for i := range n {
		t := api.Table{VIP: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), Port: 179, Scheduler: api.SchedulerMH, Flags: []string{"mh-fallback"}}
		for j := range m {
			t.Destinations = append(t.Destinations, api.TableDestination{
				Addr: netip.AddrFrom4([4]byte{10, 0, byte(j >> 8), byte(j)}), Port: 179, Forwarding: api.ForwardingDSR, Nominal: 1, Weight: 1})
		}
		tables = append(tables, t)
	}
	return tables
}
