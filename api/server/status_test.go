package server_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/server"
	"github.com/peerage/peerage/api/server/servertest"
)

var now = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)

// healthy is a site in which everything is as it should be.
func healthy(t *testing.T) *api.State {
	t.Helper()
	objects, err := api.Parse("site", []byte(site))
	if err != nil {
		t.Fatal(err)
	}
	s := &api.State{Synced: true, ClusterID: 0xabc, Revision: 7, Leader: "ctl-1", Settings: &api.Settings{},
		Pools: map[string]*api.Pool{}, LoadBalancers: map[string]*api.LoadBalancer{}, RealServers: map[string]*api.RealServer{},
		LiveLBs: map[string]*api.Live{"lb-1": {Name: "lb-1"}}, LiveRealServers: map[string]*api.Live{"rs-1": {Name: "rs-1"}, "rs-2": {Name: "rs-2"}}}
	for _, o := range objects {
		switch o := o.(type) {
		case *api.Pool:
			s.Pools[o.Name] = o
		case *api.LoadBalancer:
			o.Spec.Fabric.Peers = []api.FabricPeer{{Name: "tor-1"}}
			s.LoadBalancers[o.Name] = o
		case *api.RealServer:
			s.RealServers[o.Name] = o
		}
	}
	s.Plans = map[string]*api.Plan{"edge": servertest.Compute(s, "edge", now)}
	s.Applied = map[string]map[string]*api.Applied{"edge": {"lb-1": servertest.Applied(s.Plans["edge"], "lb-1", now)}}
	s.Servers = map[string]*api.ServerObservation{"rs-1": {Pools: map[string]api.SpeakerHealth{"edge": {OK: true, Established: 5}}}}
	s.Paths = map[string]*api.PathObservation{"lb-1": {Paths: map[string]map[string]api.Path{"edge": {"rs-1": {OK: true}, "rs-2": {OK: true}}}}}
	return s
}

// TestWarnings breaks one thing at a time, and looks for the one warning.
func TestWarnings(t *testing.T) {
	applied := func(s *api.State) *api.Applied { return s.Applied["edge"]["lb-1"] }
	for _, c := range []struct {
		name string
		do   func(s *api.State)
		want []string // code, then a part of the message
	}{
		{"nothing", func(*api.State) {}, nil},
		{"an empty state", func(s *api.State) { *s = api.State{Settings: &api.Settings{}} }, []string{"store-stale", "not read yet"}},
		{"the store is down", func(s *api.State) { s.Stale = errors.New("connection refused") }, []string{"store-stale", "connection refused"}},
		{"from the cache", func(s *api.State) { s.FromCache = true }, []string{"store-stale", "read from disk"}},
		{"a restored store", func(s *api.State) { s.Held = errors.New("cluster 1 answers") }, []string{"store-held", "--accept-risk=restored-store"}},
		{"a truncated key", func(s *api.State) {
			s.Bad = map[string]error{"/peerage/v1/plan/edge": errors.New("the JSON is truncated")}
		}, []string{"bad-key", "plan/edge is refused"}},
		{"a full store", func(s *api.State) { s.Alarms = []string{"NOSPACE"} }, []string{"store-alarm", "its alarm NOSPACE and refuses writes"}},
		{"no leader", func(s *api.State) { s.Leader = "" }, []string{"no-leader", "nothing is planned"}},
		{"no plan", func(s *api.State) { s.Plans, s.Applied = nil, nil }, []string{"no-plan", "no plan yet"}},
		{"a held plan", func(s *api.State) { s.Plans["edge"].Held = &api.Held{Guard: "over-max-shrink", Reason: "2 of 2 go"} },
			[]string{"plan-held", "over-max-shrink: 2 of 2 go"}},
		{"an LB is behind", func(s *api.State) { applied(s).Generation = 0 }, []string{"lb-behind", "runs generation 0, the plan is at 1"}},
		{"an LB has not reported", func(s *api.State) { s.Applied = nil }, []string{"vip-not-announced", "no load balancer (lb-1: the LB has not", "lb-behind", "has not reported"}},
		{"a kernel differs", func(s *api.State) { applied(s).Fingerprint = "00" }, []string{"lb-differs", "table 00 is not the plan's"}},
		{"an LB failed", func(s *api.State) { applied(s).Error = "no ip_vs" }, []string{"lb-error", "no ip_vs"}},
		{"an LB is cold", func(s *api.State) { applied(s).Warm = false }, []string{"lb-not-warm", "does not know all"}},
		{"an LB is dead", func(s *api.State) { s.LiveLBs = nil }, []string{"lb-down", "not alive", "vip-not-announced", "agent is not alive"}},
		{"a VIP is not announced", func(s *api.State) {
			applied(s).VIPs = map[string]api.Announced{"203.0.113.1": {Reason: "BIRD refuses the file"}}
		}, []string{"vip-not-announced", "BIRD refuses the file"}},
		{"a fabric session is down", func(s *api.State) { applied(s).Peers["tor-1"] = api.FabricState{State: "Connect", BFD: "Down"} },
			[]string{"fabric-session-down", "tor-1 is Connect"}},
		{"BFD is down", func(s *api.State) { applied(s).Peers["tor-1"] = api.FabricState{State: "Established", BFD: "Init"} },
			[]string{"bfd-down", "tor-1 is Init"}},
		{"a server is gone", func(s *api.State) { delete(s.LiveRealServers, "rs-2") }, []string{"server-down", "not alive"}},
		{"a server is sick", func(s *api.State) {
			s.Plans["edge"].Destinations[1].State, s.Plans["edge"].Destinations[1].Reason = api.ServerUnhealthy, "no OPEN"
			applied(s).Fingerprint = api.Fingerprint(s.Plans["edge"].Tables())
		}, []string{"server-not-serving", "rs-2 is not serving: no OPEN"}},
		{"a server is suspect", func(s *api.State) { s.Plans["edge"].Destinations[1].State = api.ServerSuspect },
			[]string{"server-suspect", "kept in service"}},
		{"a path is bad", func(s *api.State) {
			s.Paths["lb-1"].Paths["edge"]["rs-2"] = api.Path{Reason: "connection refused"}
		}, []string{"path-down", "lb-1 does not reach rs-2: connection refused"}},
		{"a server is depooled", func(s *api.State) {
			s.Intents = map[string]*api.ServerIntent{"rs-2": {Server: "rs-2", Depooled: &api.Mark{By: "alice", Reason: "fan", Until: now.Add(time.Hour)}}}
		}, []string{"server-depooled", "depooled by alice until 2026-01-02 04:04 UTC: fan"}},
		{"a depool that has ended", func(s *api.State) {
			s.Intents = map[string]*api.ServerIntent{"rs-2": {Server: "rs-2", Depooled: &api.Mark{By: "alice", Until: now}}}
		}, nil},
		{"another weight", func(s *api.State) {
			s.Intents = map[string]*api.ServerIntent{"rs-2": {Server: "rs-2", Weight: &api.WeightIntent{Mark: api.Mark{By: "alice"}, Value: 3}}}
		}, []string{"weight-overridden", "weight 3 by alice, configured is 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := healthy(t)
			c.do(s)
			st := server.BuildStatus(s, now)
			var got []string
			for i, w := range st.Warnings {
				got = append(got, string(w.Code))
				if 2*i+1 < len(c.want) && !strings.Contains(w.Message, c.want[2*i+1]) {
					t.Errorf("%s: %q does not say %q", w.Code, w.Message, c.want[2*i+1])
				}
			}
			var want []string
			for i := 0; i < len(c.want); i += 2 {
				want = append(want, c.want[i])
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s\n%+v", d, st.Warnings)
			}
		})
	}
}

func TestStatusAgreement(t *testing.T) {
	s := healthy(t)
	p := server.BuildStatus(s, now).Pools[0]
	if !p.Agree || p.Serving != 2 || p.Sessions != 5 || p.VIPs[0].Announced != 1 || p.VIPs[0].LBs[0].BFD != "Up" {
		t.Errorf("a healthy pool is %+v", p)
	}
	// A dead LB is no disagreement, unless there is no other.
	s.LiveLBs["lb-2"], s.LoadBalancers["lb-2"] = &api.Live{}, s.LoadBalancers["lb-1"]
	if p := server.BuildStatus(s, now).Pools[0]; p.Agree {
		t.Error("an LB that has not reported agrees")
	}
	delete(s.LiveLBs, "lb-2")
	if p := server.BuildStatus(s, now).Pools[0]; !p.Agree {
		t.Error("a dead LB disagrees")
	}
	delete(s.LiveLBs, "lb-1")
	if p := server.BuildStatus(s, now).Pools[0]; p.Agree {
		t.Error("nobody agrees")
	}
}

// TestStatusOfRemnants shows what is left of a pool that was removed.
func TestStatusOfRemnants(t *testing.T) {
	s := healthy(t)
	delete(s.Pools, "edge")
	delete(s.RealServers, "rs-2")
	st := server.BuildStatus(s, now)
	if len(st.Pools) != 1 || len(st.Pools[0].Servers) != 2 || st.Pools[0].VIPs[0].VIP != netip.MustParseAddr("203.0.113.1") {
		t.Errorf("%+v", st.Pools)
	}
}
