package realserver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/bgpcheck"
)

// fakeHost models a machine: addresses, kernel parameters and a speaker. It
// renders itself as text, and logs what was done to it in order.
type fakeHost struct {
	mu        sync.Mutex // guards the fields below
	addresses []netip.Prefix
	speaker   SpeakerConfig
	log       []string
	fail      map[string]error
	count     SessionCount
	published []*api.ServerObservation
	sick      error
}

func (f *fakeHost) host() Host {
	return Host{Addresses: fakeAddresses{f}, Sysctls: fakeSysctls{f}, Speaker: fakeSpeaker{f}}
}

func (f *fakeHost) did(what string) error {
	f.log = append(f.log, what)
	name, _, _ := strings.Cut(what, " ")
	return f.fail[name]
}

func (f *fakeHost) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for _, a := range f.addresses {
		fmt.Fprintln(&b, "address", a)
	}
	for _, s := range f.speaker.Services {
		fmt.Fprintln(&b, "speaks", s.Pool, s.VIPs, s.Port)
	}
	return b.String()
}

type (
	fakeAddresses struct{ *fakeHost }
	fakeSysctls   struct{ *fakeHost }
	fakeSpeaker   struct{ *fakeHost }
)

func (f fakeAddresses) Set(_ context.Context, want []netip.Prefix) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Equal(f.addresses, want) {
		return false, nil
	}
	if err := f.did(fmt.Sprint("addresses ", want)); err != nil {
		return false, err
	}
	f.addresses = slices.Clone(want)
	return true, nil
}

func (f fakeAddresses) List(context.Context) ([]netip.Prefix, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.addresses), nil
}

func (f fakeAddresses) Remove(context.Context) error { return nil }

func (f fakeSysctls) Set(context.Context, map[string]string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Contains(f.log, "sysctls") {
		return nil, nil
	}
	return nil, f.did("sysctls")
}

func (f fakeSysctls) Restore(context.Context) error { return nil }

func (f fakeSpeaker) Set(_ context.Context, cfg SpeakerConfig) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cmp.Equal(f.speaker, cfg, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })) {
		return false, nil
	}
	if err := f.did(fmt.Sprintf("speaker of %d services", len(cfg.Services))); err != nil {
		return false, err
	}
	f.speaker = cfg
	return true, nil
}

func (f fakeSpeaker) Status(context.Context) (SpeakerStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := SpeakerStatus{Engine: "fake 1", Pools: map[string]SessionCount{}}
	for _, svc := range f.speaker.Services {
		s.Pools[svc.Pool] = f.count
	}
	return s, f.fail["status"]
}

func (f fakeSpeaker) Close() error { return nil }

func (f *fakeHost) check(context.Context, bgpcheck.Target) (bgpcheck.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bgpcheck.Result{}, f.sick
}

func (f *fakeHost) PutServer(_ context.Context, o *api.ServerObservation) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail["put"]; err != nil {
		return err
	}
	f.published = append(f.published, o)
	return nil
}

func (f *fakeHost) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// last is the newest observation of the pool edge.
func (f *fakeHost) last(t *testing.T) api.SpeakerHealth {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.published) == 0 {
		t.Fatal("nothing was published")
	}
	return f.published[len(f.published)-1].Pools["edge"]
}

// fakeSource hands out states.
type fakeSource struct {
	mu    sync.Mutex // guards the fields below
	state *api.State
	ch    chan struct{}
}

func newSource(st *api.State) *fakeSource {
	s := &fakeSource{ch: make(chan struct{}, 1)}
	s.set(st)
	return s
}

func (s *fakeSource) set(st *api.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = st
	notify(s.ch)
}

func (s *fakeSource) State() *api.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

func (s *fakeSource) Subscribe() (<-chan struct{}, func()) { return s.ch, func() {} }

var (
	vip4 = netip.MustParseAddr("203.0.113.179")
	vip6 = netip.MustParseAddr("2001:db8::179")
	own4 = netip.MustParseAddr("10.0.0.101")
	own6 = netip.MustParseAddr("fd00::101")
)

// site is a synced state in which the plan of the pool edge names the servers.
func site(generation int64, servers ...string) *api.State {
	p := &api.Plan{
		Pool: "edge", Generation: generation, VIPs: []netip.Addr{vip4, vip6}, Port: 179,
		HealthCheck: api.HealthCheck{Type: api.HealthCheckBGP, Interval: api.Duration(time.Second), Timeout: api.Duration(time.Second), Fall: 3, Rise: 2},
		Speaker:     api.Speaker{LocalAS: 65010},
		Probes:      []netip.Addr{netip.MustParseAddr("10.0.0.11")},
	}
	for _, s := range servers {
		p.Destinations = append(p.Destinations, api.Destination{Server: s, Addresses: []netip.Addr{own4, own6}, Nominal: 1, Weight: 1})
	}
	st := &api.State{Synced: true, Settings: &api.Settings{}, Plans: map[string]*api.Plan{"edge": p}}
	st.Settings.Default()
	return st
}

const (
	up   = "address 203.0.113.179/32\naddress 2001:db8::179/128\nspeaks edge [203.0.113.179 2001:db8::179] 179\n"
	down = ""
)

// run starts an agent inside a synctest bubble.
func run(t *testing.T, f *fakeHost, src *fakeSource) *Agent {
	t.Helper()
	a, err := New(Config{Name: "rs-1", Host: f.host(), Check: f.check, Source: src, Store: f})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = a.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
	return a
}

func wantHost(t *testing.T, f *fakeHost, want string) {
	t.Helper()
	if diff := cmp.Diff(want, f.String()); diff != "" {
		t.Errorf("host (-want +got)\n%s", diff)
	}
}

func TestOrderOfComingUpAndGoingDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, src := &fakeHost{}, newSource(site(1, "rs-1", "rs-2"))
		run(t, f, src)
		wantHost(t, f, up)
		src.set(site(2, "rs-2"))
		synctest.Wait()
		wantHost(t, f, down)
		want := []string{
			"sysctls", "addresses [203.0.113.179/32 2001:db8::179/128]", "speaker of 1 services",
			"speaker of 0 services", "addresses []",
		}
		if diff := cmp.Diff(want, f.log); diff != "" {
			t.Errorf("order (-want +got)\n%s", diff)
		}
	})
}

func TestNothingIsTakenAwayOnBadNews(t *testing.T) {
	empty := func(change func(*api.State)) *api.State {
		st := site(2)
		st.Plans = map[string]*api.Plan{}
		change(st)
		return st
	}
	tests := map[string]*api.State{
		"store is stale":       empty(func(st *api.State) { st.Stale = errors.New("timeout") }),
		"store is held":        empty(func(st *api.State) { st.Held = errors.New("restored") }),
		"store was never read": empty(func(st *api.State) { st.Synced = false }),
		"only a cache":         empty(func(st *api.State) { st.Synced, st.FromCache = false, true }),
		"the plan is empty":    site(2),
		"the plan is gone, not its pool": empty(func(st *api.State) {
			pool := &api.Pool{Spec: api.PoolSpec{RealServers: []string{"rs-1"}}}
			st.Pools = map[string]*api.Pool{"edge": pool}
		}),
	}
	for name, bad := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, src := &fakeHost{}, newSource(site(1, "rs-1"))
				run(t, f, src)
				src.set(bad)
				synctest.Wait()
				time.Sleep(time.Minute) // full rounds, too
				wantHost(t, f, up)
			})
		})
	}
}

func TestRestartFromCacheAdopts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := site(1, "rs-1")
		st.Synced, st.FromCache = false, true
		f := &fakeHost{addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/32"), netip.PrefixFrom(vip4, 32)}}
		run(t, f, newSource(st))
		wantHost(t, f, "address 198.51.100.1/32\n"+up) // what an unread store may still ask for stays
	})
}

func TestHealthNeedsFallAndRise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeHost{count: SessionCount{Sessions: 7, Established: 5}}
		run(t, f, newSource(site(4, "rs-1")))
		time.Sleep(1500 * time.Millisecond) // between two checks
		if h := f.last(t); !h.OK || h.Established != 5 || h.Sessions != 7 || h.Engine != "fake 1" || h.Generation != 4 {
			t.Errorf("healthy: %+v", h)
		}
		f.set(func() { f.sick = errors.New("no OPEN") })
		time.Sleep(2 * time.Second)
		if h := f.last(t); !h.OK {
			t.Errorf("before the third failure: %+v", h)
		}
		time.Sleep(time.Second)
		if h := f.last(t); h.OK || !strings.Contains(h.Reason, "VIP 203.0.113.179: no OPEN") {
			t.Errorf("after the third failure: %+v", h)
		}
		f.set(func() { f.sick = nil })
		time.Sleep(2 * time.Second)
		if h := f.last(t); !h.OK || h.Reason != "" {
			t.Errorf("after two successes: %+v", h)
		}
	})
}

func TestSilentControlSocketIsNoIllness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeHost{count: SessionCount{Established: 5}}
		run(t, f, newSource(site(1, "rs-1")))
		time.Sleep(time.Second)
		f.set(func() { f.fail = map[string]error{"status": errors.New("socket is gone")} })
		time.Sleep(time.Minute)
		if h := f.last(t); !h.OK || h.Established != 5 || !strings.Contains(h.Reason, "socket is gone") {
			t.Errorf("%+v", h)
		}
	})
}

func TestRefusedSpeakerKeepsWhatItHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, src := &fakeHost{}, newSource(site(1, "rs-1"))
		a := run(t, f, src)
		f.set(func() { f.fail = map[string]error{"speaker": errors.New("line 3: syntax error")} })
		next := site(2, "rs-1")
		next.Plans["edge"].Port = 1179
		src.set(next)
		synctest.Wait()
		wantHost(t, f, up)
		if err := a.Ready(); err == nil || !strings.Contains(err.Error(), "line 3") {
			t.Errorf("ready: %v", err)
		}
		f.set(func() { f.fail = nil })
		time.Sleep(11 * time.Second)
		if err := a.Ready(); err != nil {
			t.Errorf("ready after a full round: %v", err)
		}
	})
}

func TestRestartThatCannotSetStillJudges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeHost{count: SessionCount{Established: 5}, fail: map[string]error{"speaker": errors.New("no key")}}
		a := run(t, f, newSource(site(1, "rs-1")))
		time.Sleep(time.Second)
		if h := f.last(t); !h.OK || a.Ready() == nil {
			t.Errorf("%+v, ready: %v", h, a.Ready())
		}
	})
}

func TestPublishRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeHost{fail: map[string]error{"put": errors.New("etcd is down")}}
		run(t, f, newSource(site(1, "rs-1")))
		time.Sleep(10 * time.Second)
		f.set(func() { f.fail = nil })
		time.Sleep(2 * time.Second)
		if h := f.last(t); !h.OK {
			t.Errorf("%+v", h)
		}
	})
}
