package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
)

// site is a pool "edge" that a scenario changes and plans again and again, as
// the leader would: each plan is the next one's past.
type site struct {
	*api.State
	now time.Time
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newSite(servers, lbs int) *site {
	s := &site{now: noon, State: &api.State{
		Synced: true, Settings: &api.Settings{}, Bad: map[string]error{},
		Pools: map[string]*api.Pool{}, LoadBalancers: map[string]*api.LoadBalancer{}, RealServers: map[string]*api.RealServer{},
		Intents: map[string]*api.ServerIntent{},
		LiveLBs: map[string]*api.Live{}, LiveRealServers: map[string]*api.Live{},
		Paths: map[string]*api.PathObservation{}, Servers: map[string]*api.ServerObservation{},
		Plans: map[string]*api.Plan{}, Applied: map[string]map[string]*api.Applied{"edge": {}},
	}}
	pool := &api.Pool{Meta: api.Meta{Name: "edge"}, Spec: api.PoolSpec{
		VIPs:    []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
		Speaker: api.Speaker{LocalAS: 64500},
	}}
	pool.Default()
	s.Pools["edge"] = pool
	for i := range lbs {
		s.addLB(fmt.Sprintf("lb-%d", i+1), i+1)
	}
	for i := range servers {
		s.addServer(fmt.Sprintf("rs-%d", i+1), i+1)
	}
	return s
}

func (s *site) addLB(name string, n int) {
	lb := &api.LoadBalancer{Meta: api.Meta{Name: name}, Spec: api.LoadBalancerSpec{Addresses: addresses(1, n)}}
	lb.Default()
	s.LoadBalancers[name] = lb
	s.LiveLBs[name] = &api.Live{Name: name, StartedAt: noon.Add(-time.Hour)}
	s.Paths[name] = &api.PathObservation{LB: name, At: noon, Paths: map[string]map[string]api.Path{"edge": {}}}
	for server := range s.RealServers {
		s.path(name, server, true)
	}
}

// addServer adds a member that is healthy.
func (s *site) addServer(name string, n int) {
	rs := &api.RealServer{Meta: api.Meta{Name: name}, Spec: api.RealServerSpec{Addresses: addresses(2, n)}}
	rs.Default()
	s.RealServers[name] = rs
	s.LiveRealServers[name] = &api.Live{Name: name, StartedAt: noon.Add(-time.Hour)}
	s.pool().RealServers = append(s.pool().RealServers, name)
	s.speaker(name, true)
	for lb := range s.LoadBalancers {
		s.path(lb, name, true)
	}
}

func addresses(net, n int) []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr(fmt.Sprintf("10.%d.%d.%d", net, n/256, n%256)),
		netip.MustParseAddr(fmt.Sprintf("fd00:%d::%x", net, n)),
	}
}

func (s *site) pool() *api.PoolSpec { return &s.Pools["edge"].Spec }

// speaker sets what a server says of itself.
func (s *site) speaker(server string, ok bool) {
	s.Servers[server] = &api.ServerObservation{Server: server, At: s.now,
		Pools: map[string]api.SpeakerHealth{"edge": {OK: ok, Reason: reason(ok, "bird is down")}}}
}

// path sets what a load balancer sees of servers.
func (s *site) path(lb, server string, ok bool) {
	s.Paths[lb].Paths["edge"][server] = api.Path{OK: ok, Reason: reason(ok, "connection refused")}
}

// see sets what all load balancers and the servers themselves see.
func (s *site) see(ok bool, servers ...string) {
	for _, name := range servers {
		s.speaker(name, ok)
		for lb := range s.LoadBalancers {
			s.path(lb, name, ok)
		}
	}
}

func reason(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}

func (s *site) depool(server string, risks ...api.Risk) {
	s.Intents[server] = &api.ServerIntent{Server: server,
		Depooled: &api.Mark{By: "alice", Reason: "disk", At: s.now, AcceptedRisks: risks}}
}

func (s *site) undo(server string) { delete(s.Intents, server) }

// apply makes every live load balancer report that it runs the plan.
func (s *site) apply() {
	p := s.Plans["edge"]
	for _, a := range p.Announcements {
		if s.LiveLBs[a.LB] == nil {
			continue
		}
		applied := s.Applied["edge"][a.LB]
		if applied == nil || applied.Generation != p.Generation {
			applied = &api.Applied{Pool: "edge", LB: a.LB, Generation: p.Generation,
				Fingerprint: api.Fingerprint(p.Tables()), VIPs: map[string]api.Announced{}}
			s.Applied["edge"][a.LB] = applied
		}
		applied.VIPs[a.VIP.String()] = api.Announced{Announced: a.Announce}
	}
}

// failer is what a test and a property have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
}

// step plans once, and stores the result as the leader would.
func (s *site) step(t failer) PoolResult {
	t.Helper()
	r := Compute(Inputs{State: s.State, Now: s.now})
	for _, p := range r.Pools {
		if p.Pool == "edge" {
			s.store(p)
			return p
		}
	}
	t.Fatal("no result for pool edge")
	return PoolResult{}
}

func (s *site) store(p PoolResult) {
	switch {
	case p.Delete:
		delete(s.Plans, p.Pool)
	case p.Plan != nil:
		s.Plans[p.Pool] = p.Plan
	}
}

// run plans, lets the load balancers apply the plan, and says what it is.
func (s *site) run(t failer) string {
	t.Helper()
	r := s.step(t)
	if r.Plan != nil {
		s.apply()
	}
	return show(r)
}

func (s *site) after(d time.Duration) { s.now = s.now.Add(d) }

// clone copies what scenarios of Preview change.
func (s *site) clone() *site {
	c := *s.State
	c.Pools, c.RealServers, c.Intents = maps.Clone(c.Pools), maps.Clone(c.RealServers), maps.Clone(c.Intents)
	c.LoadBalancers = maps.Clone(c.LoadBalancers)
	for name, p := range c.Pools {
		p := *p
		p.Spec.RealServers = slices.Clone(p.Spec.RealServers)
		c.Pools[name] = &p
	}
	return &site{&c, s.now}
}

// show renders a result in a form that fits a test's table: generation,
// servers in canonical order with weight/nominal, what is not announced, and
// what is held.
func show(r PoolResult) string {
	var b strings.Builder
	if r.Blocked != "" {
		fmt.Fprintf(&b, "blocked: %s\n", r.Blocked)
	}
	if r.Delete {
		b.WriteString("delete\n")
	}
	if r.Plan == nil {
		return b.String()
	}
	fmt.Fprintf(&b, "gen %d:", r.Plan.Generation)
	for _, d := range r.Plan.Destinations {
		fmt.Fprintf(&b, " %s=%d/%d", d.Server, d.Weight, d.Nominal)
		if d.State != api.ServerServing {
			fmt.Fprintf(&b, "(%s)", d.State)
		}
	}
	b.WriteByte('\n')
	for _, a := range r.Plan.Announcements {
		if !a.Announce {
			fmt.Fprintf(&b, "withdrawn: %s %s\n", a.LB, a.VIP)
		}
	}
	if h := r.Plan.Held; h != nil {
		fmt.Fprintf(&b, "held: %s: %s\n", h.Guard, h.Reason)
	}
	return b.String()
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}
