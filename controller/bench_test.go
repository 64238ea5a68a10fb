package controller

import (
	"testing"

	"github.com/peerage/peerage/api"
)

// BenchmarkChangeToPlan measures from the intent in the store until the plan
// that follows is shown by a mirror elsewhere, as an agent sees it: four
// passages of etcd (write and watch, twice) and one plan.
func BenchmarkChangeToPlan(b *testing.B) {
	for _, servers := range []int{4, 64} {
		b.Run(map[int]string{4: "servers=4", 64: "servers=64"}[servers], func(b *testing.B) {
			s := newSite(b)
			s.start("ctl-1")
			s.configure(servers)
			s.plan("the first plan", func(p *api.Plan) bool { return len(p.Destinations) == servers })
			out := false
			for b.Loop() {
				if out = !out; out {
					s.depool("rs-2")
				} else {
					s.undo("rs-2")
				}
				s.plan("the change", func(p *api.Plan) bool { return (state(p, "rs-2") == api.ServerDepooled) == out })
			}
		})
	}
}
