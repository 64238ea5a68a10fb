package mh

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/peerage/peerage/api"
)

// table is a service with servers of the given nominal weights, all serving.
func table(v4 bool, weights ...int) api.Table {
	t := api.Table{VIP: netip.MustParseAddr("203.0.113.179"), Port: 179, Scheduler: api.SchedulerMH, Flags: []string{"mh-fallback"}}
	for i, w := range weights {
		a := fmt.Sprintf("10.0.1.%d", i+1)
		if !v4 {
			a = fmt.Sprintf("fd00::1%02d", i+1)
		}
		t.Destinations = append(t.Destinations, api.TableDestination{Addr: netip.MustParseAddr(a), Port: 179, Nominal: w, Weight: w})
	}
	return t
}

func source(v4 bool, i int) netip.Addr {
	if v4 {
		return netip.AddrFrom4([4]byte{10, 65, byte(i >> 8), byte(i)})
	}
	return netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x65, 14: byte(i >> 8), 15: byte(i)})
}

func where(t *Table, a netip.Addr) string {
	d, ok := t.Lookup(a)
	if !ok {
		return "nowhere"
	}
	return d.Addr.String()
}

// Every place is taken, in the proportion of the weights to within one turn.
func TestShares(t *testing.T) {
	for name, tt := range map[string]struct{ weights, want []int }{
		"equal":             {[]int{1, 1, 1}, []int{1364, 1364, 1365}},
		"common divisor":    {[]int{100, 100, 100}, []int{1364, 1364, 1365}},
		"weights":           {[]int{1, 2, 5}, []int{512, 1024, 2557}},
		"one without":       {[]int{1, 0, 1}, []int{2046, 0, 2047}},
		"cut to six bits":   {[]int{1, 1000}, []int{65, 4028}},
		"one server":        {[]int{8}, []int{4093}},
		"nobody":            {[]int{0, 0}, []int{0, 0}},
		"no server at all":  {nil, nil},
		"divided, then cut": {[]int{100, 101}, []int{2043, 2050}},
	} {
		t.Run(name, func(t *testing.T) {
			got := make([]int, len(tt.weights))
			for _, d := range New(table(true, tt.weights...)).places {
				got[d]++
			}
			for i := range got {
				if got[i] < tt.want[i]-8 || got[i] > tt.want[i]+8 {
					t.Fatalf("got %v, want about %v", got, tt.want)
				}
			}
		})
	}
}

// A server at weight 0 keeps its share of the table: nobody else's customer
// moves when it goes, and everybody is where they were when it is back.
func TestDepool(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v4 := rapid.Bool().Draw(t, "v4")
		weights := rapid.SliceOfN(rapid.IntRange(1, 8), 2, 16).Draw(t, "weights")
		out := rapid.IntRange(0, len(weights)-1).Draw(t, "out")
		before := table(v4, weights...)
		after := table(v4, weights...)
		after.Destinations[out].Weight = 0
		full, less := New(before), New(after)
		gone := before.Destinations[out].Addr.String()
		for i := range 300 {
			a := source(v4, i)
			was, is := where(full, a), where(less, a)
			switch {
			case is == gone || is == "nowhere":
				t.Fatalf("%s goes to %s", a, is)
			case was != gone && is != was:
				t.Fatalf("%s moved from %s to %s", a, was, is)
			}
		}
		after.Flags = nil
		if strict := New(after); full.fallback && where(strict, sourceOf(t, full, v4, gone)) != "nowhere" {
			t.Fatal("without mh-fallback the share of a server at weight 0 has no destination")
		}
	})
}

// sourceOf finds a source of a server.
func sourceOf(t *rapid.T, table *Table, v4 bool, server string) netip.Addr {
	for i := range 1 << 16 {
		if a := source(v4, i); where(table, a) == server {
			return a
		}
	}
	t.Fatalf("no source goes to %s", server)
	return netip.Addr{}
}

func BenchmarkNew(b *testing.B) {
	t := table(true, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
	for b.Loop() {
		New(t)
	}
}

func BenchmarkLookup(b *testing.B) {
	t, a := New(table(true, 1, 1, 1, 1)), source(true, 7)
	for b.Loop() {
		t.Lookup(a)
	}
}

// TestAgainstKernel: the model chooses what a real kernel chose.
func TestAgainstKernel(t *testing.T) {
	text, err := os.ReadFile("testdata/kernel.txt")
	if err != nil {
		t.Fatal(err)
	}
	models := map[string]*Table{}
	for _, v4 := range []bool{true, false} {
		all := table(v4, 1, 1, 1, 1)
		models[fmt.Sprint(v4, " in")] = New(all)
		all.Destinations = slices.Clone(all.Destinations)
		all.Destinations[1].Weight = 0
		models[fmt.Sprint(v4, " out")] = New(all)
	}
	lines := 0
	for line := range strings.Lines(string(text)) {
		var address, server, second string
		if _, err := fmt.Sscan(line, &address, &server, &second); err != nil || address == "#" {
			continue
		}
		lines++
		a := netip.MustParseAddr(address)
		if got := where(models[fmt.Sprint(a.Is4(), " ", second)], a); !strings.HasSuffix(got, server) {
			t.Errorf("%s: got %s, the kernel chose server %s", a, got, server)
		}
	}
	if lines != 300 {
		t.Errorf("%d lines", lines)
	}
}
