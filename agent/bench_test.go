package agent

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/peerage/peerage/api"
)

// BenchmarkRound measures a round without and with a change, on a model of the
// kernel: what the agent itself costs.
func BenchmarkRound(b *testing.B) {
	for _, size := range []struct{ pools, servers int }{{1, 64}, {64, 64}} {
		for _, why := range []kind{roundChange, roundFull} {
			b.Run(fmt.Sprintf("same/%d-pools-%d-servers/%s", size.pools, size.servers, why), func(b *testing.B) {
				a, _ := benchAgent(b, size.pools, size.servers)
				for b.Loop() {
					a.round(context.Background(), why)
				}
			})
		}
		b.Run(fmt.Sprintf("depool/%d-pools-%d-servers", size.pools, size.servers), func(b *testing.B) {
			a, s := benchAgent(b, size.pools, size.servers)
			for b.Loop() {
				s.state = depoolOne(s.state)
				a.round(context.Background(), roundChange)
			}
			if err := a.Ready(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// fixed is a source.
type fixed struct{ state *api.State }

func (f *fixed) State() *api.State                    { return f.state }
func (f *fixed) Subscribe() (<-chan struct{}, func()) { return nil, func() {} }

func benchAgent(b *testing.B, pools, servers int) (*Agent, *fixed) {
	lb := &api.LoadBalancer{Meta: api.Meta{Name: self}, Spec: api.LoadBalancerSpec{Interface: "eth0"}}
	s := &fixed{&api.State{
		Synced: true, Settings: &api.Settings{}, Plans: map[string]*api.Plan{},
		LoadBalancers: map[string]*api.LoadBalancer{self: lb},
	}}
	for n := range pools {
		vip := netip.AddrFrom4([4]byte{203, 0, 113, byte(n)})
		p := &api.Plan{
			Schema: api.Schema, Pool: fmt.Sprintf("pool-%d", n), Generation: 1, Port: 179, Scheduler: api.SchedulerMH,
			Forwarding: api.ForwardingDSR, VIPs: []netip.Addr{vip},
			Announcements: []api.Announcement{{LB: self, VIP: vip, Announce: true, MED: 100}},
		}
		for i := range servers {
			p.Destinations = append(p.Destinations, api.Destination{
				Server: fmt.Sprintf("rs-%d", i), Nominal: 1, Weight: 1, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 1, byte(i)})},
			})
		}
		s.state.Plans[p.Pool] = p
	}
	dir := b.TempDir()
	m := newMachine(b, dir)
	a, err := New(Config{Name: self, Host: m.host(), Source: s, HostID: m.hostID, StateDir: dir})
	if err != nil {
		b.Fatal(err)
	}
	a.round(context.Background(), roundFull)
	if err := a.Ready(); err != nil {
		b.Fatal(err)
	}
	return a, s
}

// depoolOne is the state with one server of one pool out, or in again.
func depoolOne(s *api.State) *api.State {
	next, p := *s, *s.Plans["pool-0"]
	p.Generation++
	p.Destinations = append([]api.Destination(nil), p.Destinations...)
	p.Destinations[7].Weight = 1 - p.Destinations[7].Weight
	next.Plans = clone(s.Plans)
	next.Plans["pool-0"] = &p
	return &next
}
