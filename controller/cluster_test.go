package controller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store"
	"github.com/peerage/peerage/api/store/storetest"
)

// An outage of etcd that outlasts every lease is no news of any node: the plan
// that stood before it stands after it, and what was known of health is too.
func TestQuorumIsLost(t *testing.T) {
	t.Parallel()
	cluster := storetest.StartCluster(t, 0)
	s := &site{t: t, access: store.Config{Endpoints: cluster.Endpoints(), TLS: cluster.TLS()}}
	s.store, s.mirror = s.client("observer")
	s.configure(3)
	metrics := map[string]*Metrics{"ctl-1": newMetrics(), "ctl-2": newMetrics()}
	for name, m := range metrics {
		s.startWith(name, m)
	}
	for _, lb := range []string{"lb-1", "lb-2"} {
		s.live(api.RoleLB, lb)
		s.paths(lb, "rs-1", "rs-3") // rs-2 cannot be reached
	}
	s.plan("rs-2 unhealthy", func(p *api.Plan) bool { return state(p, "rs-2") == api.ServerUnhealthy })
	before := s.await("a leader", func(st *api.State) bool { return st.Leader != "" && len(st.LiveControllers) == 2 })

	leader := cluster.Leader()
	other := cluster.Others(leader)[0]
	leader.Stop()
	other.Stop()
	s.await("the store is missed", func(st *api.State) bool { return st.Stale != nil })
	for deadline := time.Now().Add(patience); leads(t, metrics[before.Leader]); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s leads without a store", before.Leader)
		}
	}
	leader.Launch()
	other.Start()
	st := s.await("a leader again", func(st *api.State) bool {
		return st.Stale == nil && st.Leader != "" && st.LeaderRevision != before.LeaderRevision
	})
	if diff := cmp.Diff(describe(before.Plans["edge"]), describe(st.Plans["edge"])); diff != "" {
		t.Errorf("plan (-before +after):\n%s", diff)
	}
	// The new leader has planned when it acts on a change, and on nothing else.
	s.depool("rs-1")
	p := s.plan("rs-1 depooled", func(p *api.Plan) bool { return state(p, "rs-1") == api.ServerDepooled })
	if p.Generation != before.Plans["edge"].Generation+1 || state(p, "rs-2") != api.ServerUnhealthy {
		t.Errorf("before the outage %s, now %s", describe(before.Plans["edge"]), describe(p))
	}
}

// leads tells whether a controller takes itself for the leader.
func leads(t *testing.T, m *Metrics) bool {
	t.Helper()
	for _, state := range []string{stateLeading, stateHolding} {
		var v dto.Metric
		if err := m.state.WithLabelValues(state).Write(&v); err != nil {
			t.Fatal(err)
		}
		if v.GetGauge().GetValue() == 1 {
			return true
		}
	}
	return false
}
