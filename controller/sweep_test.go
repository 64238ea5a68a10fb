package controller

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store"
)

// Announced routes that have ended go, however many; the others stay.
func TestRoutesEnd(t *testing.T) {
	s := newSite(t)
	s.configure(2)
	const many = maxSweep + 10
	route := func(customer string, n int, until time.Time) *api.RouteIntent {
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)}), 32)
		return &api.RouteIntent{Target: api.RouteTarget{Customer: customer}, Prefix: prefix, NextHop: netip.MustParseAddr("198.51.100.1"),
			Mark: api.Mark{By: "alice", Reason: "attack", At: time.Now(), Until: until}}
	}
	now := time.Now()
	s.update(func(tx *store.Tx) {
		for n := range many {
			tx.PutRoute(route("acme", n, now.Add(-time.Second)))
		}
		tx.PutRoute(route("later", 1, now.Add(time.Hour)))
		tx.PutRoute(route("soon", 1, now.Add(300*time.Millisecond)))
		tx.PutRoute(route("ever", 1, time.Time{}))
	})
	s.start("ctl-1")
	st := s.await("the ended routes are gone", func(st *api.State) bool { return len(st.Routes) == 2 })
	var left []string
	for _, r := range st.ActiveRoutes(now) {
		left = append(left, r.Target.Customer)
	}
	if diff := cmp.Diff([]string{"ever", "later"}, left); diff != "" {
		t.Error(diff)
	}
	s.events("withdraw")
}
