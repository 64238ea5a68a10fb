package bench

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerage/peerage/agent"
	"github.com/peerage/peerage/agent/bird"
	"github.com/peerage/peerage/agent/ipvs"
	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/client"
	"github.com/peerage/peerage/api/server"
	"github.com/peerage/peerage/api/store"
	"github.com/peerage/peerage/api/store/embed"
	"github.com/peerage/peerage/controller"
	"github.com/peerage/peerage/controller/plan"
	"github.com/peerage/peerage/hack/lab"
)

// BenchmarkChangeToKernel measures a depool over everything but the kernel:
// from its acceptance by the API, through an etcd that syncs its log to disk,
// the leader and the mirrors of the agents, until the last agent has made the
// call that gives the real server weight 0 to a model of the kernel. The
// message to the kernel itself is BenchmarkKernelReweigh of agent/ipvs.
//
// All parts run in one process and speak through sockets of the loopback.
func BenchmarkChangeToKernel(b *testing.B) {
	for _, size := range []struct{ servers, lbs int }{{1, 1}, {16, 1}, {64, 1}, {256, 1}, {64, 4}} {
		b.Run(fmt.Sprintf("servers=%d/lbs=%d", size.servers, size.lbs), func(b *testing.B) {
			c := newChain(b, size.servers, size.lbs)
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				took = append(took, c.depool(fmt.Sprintf("rs-%d", 1+i%size.servers)))
				b.StopTimer()
				c.restore(fmt.Sprintf("rs-%d", 1+i%size.servers))
				b.StartTimer()
			}
			for name, q := range map[string]float64{"p50-ms": 0.5, "p99-ms": 0.99, "max-ms": 1} {
				b.ReportMetric(float64(lab.Quantile(took, q))/float64(time.Millisecond), name)
			}
		})
	}
}

// chain is a site of which only the kernel and BIRD are models.
type chain struct {
	b       *testing.B
	api     *client.Client
	mirror  *store.Mirror
	servers int
	kernels []*weights
}

// weights tells when a model of the kernel was given the weights.
type weights struct {
	mu  sync.Mutex // guards the fields below
	now map[string]string
	at  map[string]time.Time
	ch  chan struct{} // one slot
}

func (w *weights) hook(line string, done bool) error {
	f := strings.Fields(line)
	if !done || len(f) < 8 || f[0] != "-e" && f[0] != "-a" {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now[f[4]], w.at[f[4]] = f[7], time.Now()
	select {
	case w.ch <- struct{}{}:
	default:
	}
	return nil
}

// await waits until a destination has a weight, and tells since when.
func (w *weights) await(b *testing.B, destination, weight string) time.Time {
	b.Helper()
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	for {
		w.mu.Lock()
		now, at := w.now[destination], w.at[destination]
		w.mu.Unlock()
		if now == weight {
			return at
		}
		select {
		case <-w.ch:
		case <-patience.C:
			b.Fatalf("%s has weight %q, and %s is awaited in vain", destination, now, weight)
		}
	}
}

func newChain(b *testing.B, servers, lbs int) *chain {
	b.Helper()
	etcd, err := embed.Start(b.Context(), embed.Config{Dir: filepath.Join(b.TempDir(), "etcd"), ListenClient: "http://127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = etcd.Close() })
	c := &chain{b: b, servers: servers}
	st, mirror := c.store(etcd, "ctl-1")
	c.mirror = mirror
	ctl := controller.New(controller.Config{
		Live:  api.Live{Schema: api.Schema, Name: "ctl-1", Role: api.RoleController, StartedAt: time.Now()},
		Store: st, Mirror: mirror,
	})
	c.run(ctl.Run)
	handler, err := server.New(server.Config{Name: "ctl-1", Store: st, Mirror: mirror, Planner: plan.Planner{}})
	if err != nil {
		b.Fatal(err)
	}
	listener := httptest.NewServer(handler)
	b.Cleanup(listener.Close)
	if c.api, err = client.New(client.Config{Servers: []string{listener.URL}, Actor: "bench"}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.api.Close)
	c.configure(st, lbs)
	for i := range lbs {
		c.agent(etcd, fmt.Sprintf("lb-%d", 1+i))
	}
	c.settle()
	return c
}

// run runs a daemon for the time of the benchmark.
func (c *chain) run(fn func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.b.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := fn(ctx); err != nil {
			c.b.Error(err)
		}
	})
	c.b.Cleanup(func() { cancel(); wg.Wait() })
}

func (c *chain) store(etcd *embed.Server, name string) (*store.Store, *store.Mirror) {
	st, err := store.Open(store.Config{Endpoints: etcd.Endpoints()})
	if err != nil {
		c.b.Fatal(err)
	}
	c.b.Cleanup(func() { _ = st.Close() })
	mirror := st.Mirror(store.MirrorOptions{CacheFile: filepath.Join(c.b.TempDir(), name+".json")})
	c.run(mirror.Run)
	return st, mirror
}

func (c *chain) configure(st *store.Store, lbs int) {
	_, err := st.Update(c.b.Context(), func(tx *store.Tx) error {
		pool := &api.Pool{Meta: api.Meta{Name: "edge"}, Spec: api.PoolSpec{
			VIPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Speaker: api.Speaker{LocalAS: 64500}}}
		for i := range lbs {
			lb := &api.LoadBalancer{Meta: api.Meta{Name: fmt.Sprintf("lb-%d", i+1)},
				Spec: api.LoadBalancerSpec{Interface: "eth0", Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 1, byte(i + 1)})}}}
			lb.Default()
			tx.Put(lb)
		}
		for i := range c.servers {
			rs := &api.RealServer{Meta: api.Meta{Name: fmt.Sprintf("rs-%d", i+1)}, Spec: api.RealServerSpec{Addresses: []netip.Addr{serverAddr(i + 1)}}}
			rs.Default()
			tx.Put(rs)
			pool.Spec.RealServers = append(pool.Spec.RealServers, rs.Name)
		}
		pool.Default()
		tx.Put(pool)
		return nil
	})
	if err != nil {
		c.b.Fatal(err)
	}
}

func serverAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 0, byte(2 + i/250), byte(1 + i%250)})
}

func destination(server string) string {
	var i int
	_, _ = fmt.Sscanf(server, "rs-%d", &i)
	return netip.AddrPortFrom(serverAddr(i), 179).String()
}

func (c *chain) agent(etcd *embed.Server, name string) {
	st, mirror := c.store(etcd, name)
	dir := c.b.TempDir()
	kernel := ipvs.NewFake()
	w := &weights{now: map[string]string{}, at: map[string]time.Time{}, ch: make(chan struct{}, 1)}
	kernel.SetHook(w.hook)
	c.kernels = append(c.kernels, w)
	table, err := ipvs.Open(ipvs.Config{Kernel: kernel, Record: filepath.Join(dir, "ipvs.json"), HostID: "bench"})
	if err != nil {
		c.b.Fatal(err)
	}
	a, err := agent.New(agent.Config{
		Name: name, Source: mirror, Store: st, HostID: "bench", StateDir: dir,
		Host: agent.Host{
			Table: modelTable{table}, Addresses: nothing{}, Sysctls: nothingSysctls{}, ConnSync: nothingSync{}, Netfilter: nothingFilter{},
			Speaker: obedient{}, Parameters: func(api.ConnSync) map[string]string { return nil },
		},
	})
	if err != nil {
		c.b.Fatal(err)
	}
	c.run(a.Run)
	c.run(func(ctx context.Context) error {
		return st.Register(ctx, api.Live{Schema: api.Schema, Name: name, Role: api.RoleLB, BootID: "bench", StartedAt: time.Now()}, 10*time.Second)
	})
}

// settle waits until every LB runs the plan with every server serving, as the
// controller knows it.
func (c *chain) settle() {
	c.b.Helper()
	changed, cancel := c.mirror.Subscribe()
	defer cancel()
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	for {
		st := server.BuildStatus(c.mirror.State(), time.Now())
		if len(st.Pools) == 1 && st.Pools[0].Agree && st.Pools[0].Serving == c.servers && len(st.Pools[0].LBs) == len(c.kernels) {
			return
		}
		select {
		case <-changed:
		case <-patience.C:
			c.b.Fatalf("the site does not settle: %+v", st.Pools)
		}
	}
}

// depool takes a server out and tells how long after the acceptance the last
// kernel was told of it.
func (c *chain) depool(name string) time.Duration {
	r, err := c.api.Depool(c.b.Context(), name, api.VerbRequest{Reason: "bench", AcceptRisk: api.Risks()})
	if err != nil {
		c.b.Fatal(err)
	}
	var last time.Time
	for _, k := range c.kernels {
		if at := k.await(c.b, destination(name), "0"); at.After(last) {
			last = at
		}
	}
	return last.Sub(r.After.Depooled.At)
}

func (c *chain) restore(name string) {
	if _, err := c.api.Pool(c.b.Context(), name, api.VerbRequest{Reason: "bench", AcceptRisk: api.Risks()}); err != nil {
		c.b.Fatal(err)
	}
	for _, k := range c.kernels {
		k.await(c.b, destination(name), "1")
	}
	c.settle()
}

// modelTable is ipvs.Table as the agent wants it.
type modelTable struct{ *ipvs.Table }

func (t modelTable) Present(context.Context, []netip.AddrPort) (bool, error) { return false, nil }

func (t modelTable) Set(ctx context.Context, desired []api.Table) (agent.TableResult, error) {
	r, err := t.Table.Set(ctx, desired)
	return agent.TableResult(r), err
}

// The parts of the host that a change of weights does not concern.
type (
	nothing        struct{}
	nothingSysctls struct{}
	nothingSync    struct{}
	nothingFilter  struct{}
)

func (nothing) List(context.Context) ([]netip.Prefix, error)                    { return nil, nil }
func (nothing) Set(context.Context, []netip.Prefix) (bool, error)               { return false, nil }
func (nothing) Remove(context.Context) error                                    { return nil }
func (nothingSysctls) Set(context.Context, map[string]string) ([]string, error) { return nil, nil }
func (nothingSysctls) Restore(context.Context) error                            { return nil }
func (nothingSync) Set(context.Context, agent.SyncConfig) (bool, error)         { return false, nil }
func (nothingSync) Remove(context.Context) error                                { return nil }
func (nothingFilter) Set(context.Context, []netip.AddrPort) (bool, error)       { return false, nil }
func (nothingFilter) Remove(context.Context) error                              { return nil }

// obedient is a BIRD that announces what it is told.
type obedient struct{}

func (obedient) Set(_ context.Context, want bird.Config) (bird.State, error) {
	st := bird.State{Routes: want.Routes, Exported: map[netip.Addr]bool{}}
	for vip := range want.Routes {
		st.Exported[vip] = true
	}
	return st, nil
}

func (obedient) Read(context.Context) (bird.State, error) {
	return bird.State{Routes: map[netip.Addr]uint32{}}, nil
}
