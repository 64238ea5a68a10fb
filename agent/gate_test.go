package agent

import (
	"slices"
	"testing"
	"time"

	"net/netip"

	"pgregory.net/rapid"

	"github.com/peerage/peerage/api"
)

func TestGate(t *testing.T) {
	good := gateInput{Wanted: true, Prepared: true, Equal: true, Serving: 1, Warm: true, Believed: true}
	with := func(change func(in *gateInput)) gateInput {
		in := good
		change(&in)
		return in
	}
	for _, tt := range []struct {
		name   string
		in     gateInput
		open   bool
		reason gateReason
	}{
		{"all is well", good, true, gateOpen},
		{"told to leave", with(func(in *gateInput) { in.Leaving, in.Found = true, true }), false, gateLeaving},
		{"the plan says no", with(func(in *gateInput) { in.Wanted, in.Found = false, true }), false, gatePlan},
		{"a silent plan opens nothing", with(func(in *gateInput) { in.Silent = true }), false, gateSilent},
		{"a silent plan closes nothing", with(func(in *gateInput) { in.Silent, in.Found = true, true }), true, gateKept},
		{"the base is missing", with(func(in *gateInput) { in.Prepared = false }), false, gateHost},
		{"the base went missing", with(func(in *gateInput) { in.Prepared, in.Found = false, true }), true, gateKept},
		{"the table differs", with(func(in *gateInput) { in.Equal = false }), false, gateTable},
		{"the table differs in a change", with(func(in *gateInput) { in.Equal, in.Found = false, true }), true, gateKept},
		{"nobody serves", with(func(in *gateInput) { in.Serving = 0 }), false, gateEmpty},
		{"nobody serves any more", with(func(in *gateInput) { in.Serving, in.Found = 0, true }), true, gateKept},
		{"cold", with(func(in *gateInput) { in.Warm = false }), false, gateWarming},
		{"cold, and BIRD announces since boot", with(func(in *gateInput) { in.Warm, in.Found = false, true }), false, gateWarming},
		{"cold without a table, and BIRD announces", with(func(in *gateInput) { in.Warm, in.Equal, in.Found = false, false, true }), false, gateTable},
		{"sick, alone", with(func(in *gateInput) { in.Equal, in.Found, in.Sick = false, true, true }), true, gateKept},
		{"sick, others announce", with(func(in *gateInput) { in.Equal, in.Found, in.Sick, in.Others = false, true, true, true }), false, gateSick},
		{"sick, who announces is old news", with(func(in *gateInput) {
			in.Equal, in.Found, in.Sick, in.Others, in.Believed = false, true, true, true, false
		}), true, gateKept},
		{"was sick, is well", with(func(in *gateInput) { in.Sick, in.Others = true, true }), true, gateOpen},
	} {
		t.Run(tt.name, func(t *testing.T) {
			open, reason := gate(tt.in)
			if open != tt.open || reason != tt.reason {
				t.Errorf("gate = %t, %s; want %t, %s", open, reason, tt.open, tt.reason)
			}
		})
	}
}

// TestGateProperties states what holds for every input.
func TestGateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.Make[gateInput]().Draw(t, "in")
		open, reason := gate(in)
		if !slices.Contains(gateReasons(), reason) {
			t.Fatalf("reason %q is not listed", reason)
		}
		if open != (reason.text() == "") {
			t.Fatalf("open %t with reason %q", open, reason.text())
		}
		if open && !in.Found && (!in.Prepared || !in.Equal || !in.Warm || in.Serving == 0) {
			t.Fatal("opened without a base")
		}
		if open && !in.Warm {
			t.Fatal("open while cold")
		}
		if !open && in.Found && in.Warm && !in.Leaving && (in.Silent || in.Wanted) && !in.Sick {
			t.Fatal("closed without an order")
		}
	})
}

func TestWarmth(t *testing.T) {
	vip := netip.MustParseAddr("203.0.113.1")
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := newRecord()
	r.wakeUp("boot-1", false)
	if r.warm(vip, true, true) || r.warm(vip, false, false) || !r.warm(vip, false, true) {
		t.Error("cold: only a believed store that knows of no neighbour warms a VIP")
	}
	if left := r.settle(start, time.Minute); left != 0 || r.Warm {
		t.Error("the warm-up ran before the connection sync did")
	}
	r.listen(start)
	if left := r.settle(start.Add(20*time.Second), time.Minute); left != 40*time.Second {
		t.Errorf("left %s", left)
	}
	r.wakeUp("boot-1", true) // the agent restarts: the clock goes on
	if left := r.settle(start.Add(30*time.Second), time.Minute); left != 30*time.Second {
		t.Errorf("left %s after a restart", left)
	}
	// The machine's clock is set back by a year: the wait begins anew, and ends.
	if left := r.settle(start.AddDate(-1, 0, 0), time.Minute); left != time.Minute {
		t.Errorf("left %s after the clock was set back", left)
	}
	if left := r.settle(start, time.Minute); left != 0 || !r.warm(vip, true, false) {
		t.Error("the warm-up does not end")
	}
	r.wakeUp("boot-2", true) // the record is of another life, yet the kernel is full
	if !r.Warm {
		t.Error("a kernel with services of ours is warm")
	}
	r.wakeUp("boot-3", false)
	r.keepWarm(vip)
	if !r.warm(vip, true, true) || r.warm(vip.Next(), true, true) {
		t.Error("a VIP that was announced alone stays warm, and only that one")
	}
}

func TestOthersAnnounce(t *testing.T) {
	vip := netip.MustParseAddr("203.0.113.1")
	told := func(announced bool) map[string]*api.Applied {
		return map[string]*api.Applied{"lb-2": {VIPs: map[string]api.Announced{vip.String(): {Announced: announced}}}}
	}
	s := &api.State{Applied: map[string]map[string]*api.Applied{"edge": told(true)}, LiveLBs: map[string]*api.Live{"lb-2": {}}}
	if !othersAnnounce(s, "lb-1", vip) || othersAnnounce(s, "lb-2", vip) || othersAnnounce(s, "lb-1", vip.Next()) {
		t.Error("a live neighbour announces, and nobody else")
	}
	s.LiveLBs = nil
	if othersAnnounce(s, "lb-1", vip) {
		t.Error("a dead neighbour announces nothing")
	}
}
