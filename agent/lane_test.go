package agent

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerage/peerage/agent/ipvs"
	"github.com/peerage/peerage/api"
)

const drained = "-a -t 203.0.113.179:179 -r 10.0.0.102:179 -g -w 0\n"

// TestWeightsDoNotWait: whatever part of the host hangs, a plan that changes
// weights reaches the kernel at once, and the round that was under way does not
// write the old weights back.
func TestWeightsDoNotWait(t *testing.T) {
	for _, p := range []part{partSysctls, partAddresses, partConnSync, partNetfilter, partSpeaker} {
		t.Run(string(p), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				l := newLoop(t, dir)
				wait(time.Second)
				release := l.m.hangs(p)
				wait(2 * time.Minute) // a full round hangs now
				l.follow(t, "plan", "plan-2.yaml")
				synctest.Wait()
				if !strings.Contains(l.m.table(), drained) {
					t.Errorf("the weight waits; the kernel holds\n%s", l.m.table())
				}
				release()
				wait(20 * time.Millisecond)
				lines := strings.Count(strings.Join(l.m.log, "\n"), "10.0.0.102:179 -g -w 1")
				if a := l.live.told("edge"); a.Generation != 2 || a.Drift != 0 || a.Error != "" || !a.VIPs["203.0.113.179"].Announced {
					t.Errorf("applied %+v", a)
				}
				if lines != 1 || !strings.Contains(l.m.table(), drained) {
					t.Errorf("weight 1 was written %d times; the kernel holds\n%s", lines, l.m.table())
				}
				if want := api.Fingerprint(l.live.state.Plans["edge"].Tables()); l.live.told("edge").Fingerprint != want {
					t.Error("the fingerprint is not of the plan")
				}
			})
		})
	}
}

// TestLaneIsNarrow: what is more than weights, or what no round would do, does
// not go past a round.
func TestLaneIsNarrow(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(st *api.State, p *api.Plan)
	}{
		{"an announcement changes too", func(_ *api.State, p *api.Plan) { p.Announcements[0].Announce = false }},
		{"a VIP is left without a weight", func(_ *api.State, p *api.Plan) { p.Destinations[0].Weight = 0 }},
		{"a real server is gone", func(_ *api.State, p *api.Plan) { p.Destinations = p.Destinations[1:]; p.Destinations[0].Weight = 1 }},
		{"another nominal weight", func(_ *api.State, p *api.Plan) { p.Destinations[1].Nominal = 2 }},
		{"the generation goes back", func(_ *api.State, p *api.Plan) { p.Generation = 1 }},
		{"the store is held", func(st *api.State, _ *api.Plan) { st.Held = errBroken }},
		{"the plan is poisoned", func(_ *api.State, p *api.Plan) { p.Destinations[0].Weight = 99 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				l := newLoop(t, dir)
				wait(time.Second)
				before := l.m.table()
				release := l.m.hangs(partSpeaker)
				wait(2 * time.Minute)
				if err := l.command("plan", []string{"plan-2.yaml"}); err != nil {
					t.Fatal(err)
				}
				st := *l.state
				p := *st.Plans["edge"]
				p.Announcements = append([]api.Announcement(nil), p.Announcements...)
				p.Destinations = append([]api.Destination(nil), p.Destinations...)
				tc.change(&st, &p)
				st.Plans = clone(st.Plans)
				st.Plans["edge"] = &p
				l.live.set(&st)
				synctest.Wait()
				if got := l.m.table(); got != before {
					t.Errorf("the kernel was changed past the round:\n%s", got)
				}
				release()
			})
		})
	}
}

// TestBackPastARound: a round does not go by what it remembers of the table
// once the lane has written it.
func TestBackPastARound(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := newLoop(t, dir)
		wait(time.Second)
		first := *l.live.state.Plans["edge"]
		before := l.m.table()
		release := l.m.hangs(partSpeaker)
		wait(2 * time.Minute)
		l.follow(t, "plan", "plan-2.yaml")
		synctest.Wait()
		if !strings.Contains(l.m.table(), drained) {
			t.Fatalf("the weight waits; the kernel holds\n%s", l.m.table())
		}
		// The weights of before, and another announcement: not for the lane.
		st := *l.live.state
		first.Generation = 3
		first.Announcements = append([]api.Announcement(nil), first.Announcements...)
		first.Announcements[0].MED++
		st.Plans = clone(st.Plans)
		st.Plans["edge"] = &first
		l.live.set(&st)
		synctest.Wait()
		release()
		wait(time.Second)
		if got := l.m.table(); got != before {
			t.Errorf("the kernel holds\n%s, not\n%s", got, before)
		}
		if a := l.live.told("edge"); a.Generation != 3 || a.Fingerprint != api.Fingerprint(first.Tables()) || a.Error != "" {
			t.Errorf("applied %+v", a)
		}
	})
}

// TestStartWaitsForTheStore: the kernel may be ahead of the record, so that the
// first round does not go by the record as long as the store may yet be read.
func TestStartWaitsForTheStore(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := newLoop(t, dir)
		wait(time.Second)
		l.stop()
		if err := l.command("plan", []string{"plan-2.yaml"}); err != nil {
			t.Fatal(err)
		}
		newer := l.state
		unread := *l.live.state // what the disk knows
		unread.Synced, unread.FromCache = false, true
		l.live.set(&unread)
		table := strings.Replace(l.m.table(), "10.0.0.102:179 -g -w 1", "10.0.0.102:179 -g -w 0", 1)
		if err := l.m.kernel.SetDestination(t.Context(), kernelKey("203.0.113.179:179"), kernelWeight("10.0.0.102:179", 0)); err != nil {
			t.Fatal(err)
		}
		a, err := New(Config{Name: self, Host: l.m.host(), Source: l.live, Store: l.live, HostID: l.m.hostID, StateDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		wait(time.Second)
		if got := l.m.table(); got != table {
			t.Errorf("the weight was taken back:\n%s", got)
		}
		l.live.set(newer)
		wait(time.Second)
		if !strings.Contains(l.m.table(), drained) || strings.Count(strings.Join(l.m.log, "\n"), "203.0.113.179:179 -r 10.0.0.102:179 -g -w 1") != 1 {
			t.Errorf("the plan of the store is not what the kernel holds:\n%s", l.m.table())
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func kernelKey(service string) ipvs.Key {
	return ipvs.Key{Protocol: 6, Addr: netip.MustParseAddrPort(service)}
}

func kernelWeight(destination string, weight int) ipvs.Destination {
	return ipvs.Destination{Addr: netip.MustParseAddrPort(destination), Forward: 3, Weight: weight}
}
