package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/semaphore"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/bgpcheck"
)

// maxConcurrent bounds the probes that are under way at once.
const maxConcurrent = 128

// maxJitter is the share of an interval by which probes are spread.
const maxJitter = 0.1

// CheckFunc probes one address; bgpcheck.Check is the real one.
type CheckFunc func(ctx context.Context, t bgpcheck.Target) (bgpcheck.Result, error)

// Store takes the observations.
type Store interface {
	PutPaths(ctx context.Context, o *api.PathObservation) error
}

// Observer is told of every single result, for metrics.
type Observer interface {
	Probed(pool, server string, ok bool, rtt time.Duration)
	Judged(pool, server string, ok bool)
	Forgotten(pool, server string)
}

// Config says what a Prober works with.
type Config struct {
	// LB is the name of this load balancer.
	LB       string
	Check    CheckFunc
	Store    Store
	Observer Observer
	Logger   hclog.Logger
}

// Prober probes targets until its context ends.
type Prober struct {
	cfg   Config
	slots *semaphore.Weighted
	wake  chan struct{} // one slot: the targets changed
	tell  chan struct{} // one slot: a judgement changed

	mu       sync.Mutex // guards the fields below
	targets  map[key]Target
	verdicts map[key]verdict
	interval time.Duration
	since    map[key]time.Time // when a target was first asked for
	complete bool              // an observation of all targets was made once
}

// New makes a prober without targets.
func New(cfg Config) *Prober {
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Observer == nil {
		cfg.Observer = silent{}
	}
	return &Prober{
		cfg: cfg, slots: semaphore.NewWeighted(maxConcurrent),
		wake: make(chan struct{}, 1), tell: make(chan struct{}, 1),
		targets: map[key]Target{}, verdicts: map[key]verdict{}, since: map[key]time.Time{},
		interval: 5 * time.Second,
	}
}

type silent struct{}

func (silent) Probed(string, string, bool, time.Duration) {}
func (silent) Judged(string, string, bool)                {}
func (silent) Forgotten(string, string)                   {}

// Set hands over all targets, and how often numbers are published. What is
// known of a target that stays is kept.
func (p *Prober) Set(targets []Target, interval time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.interval = max(interval, gather)
	want := make(map[key]Target, len(targets))
	changed := false
	for _, t := range targets {
		want[t.key()] = t
		old, ok := p.targets[t.key()]
		if !ok {
			p.since[t.key()] = time.Now()
		}
		changed = changed || !ok || !old.equal(t)
	}
	for k := range p.targets {
		if _, ok := want[k]; !ok {
			changed = true
			delete(p.verdicts, k)
			delete(p.since, k)
			p.cfg.Observer.Forgotten(k.pool, k.server)
		}
	}
	if changed {
		p.targets = want
		notify(p.wake)
		notify(p.tell)
	}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run probes until ctx ends; it waits for every probe that is under way.
func (p *Prober) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { p.publish(ctx) })
	running := map[key]worker{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
			p.staff(ctx, &wg, running)
		}
	}
}

// worker is the goroutine of one target.
type worker struct {
	target Target
	stop   context.CancelFunc
}

// staff starts and ends workers so that there is one for each target.
func (p *Prober) staff(ctx context.Context, wg *sync.WaitGroup, running map[key]worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, w := range running {
		if t, ok := p.targets[k]; !ok || !t.equal(w.target) {
			w.stop()
			delete(running, k)
		}
	}
	for k, t := range p.targets {
		if _, ok := running[k]; ok {
			continue
		}
		own, stop := context.WithCancel(ctx)
		running[k] = worker{t, stop}
		wg.Go(func() { p.work(own, t) })
	}
}

// work probes one target in its interval. The first probe is spread over an
// interval, so that hundreds of servers are not asked in one instant.
func (p *Prober) work(ctx context.Context, t Target) {
	interval := t.interval()
	timer := time.NewTimer(rand.N(interval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		started := time.Now()
		rtt, err := p.probe(ctx, t)
		if ctx.Err() != nil {
			return // the target is not asked for any more: its result is void
		}
		p.result(t, rtt, err)
		jitter := rand.N(time.Duration(float64(interval)*maxJitter) + 1)
		timer.Reset(max(interval-time.Since(started), 0) + jitter)
	}
}

// probe asks every address of a target; all must answer. The slot is waited
// for before the time-out begins: our own crowd is not the server's failure.
func (p *Prober) probe(ctx context.Context, t Target) (time.Duration, error) {
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return 0, err
	}
	defer p.slots.Release(1)
	var slowest time.Duration
	var errs []error
	if len(t.Paths) == 0 {
		return 0, errors.New("the real server has no address of the VIPs' families")
	}
	for _, path := range t.Paths {
		if !path.Source.IsValid() {
			errs = append(errs, errNoSource(path.Addr.Addr()))
			continue
		}
		one, cancel := context.WithTimeout(ctx, t.timeout())
		res, err := p.cfg.Check(one, bgpcheck.Target{Addr: path.Addr, Source: path.Source, LocalAS: t.PeerAS, Type: t.Check.Type})
		cancel()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path.Addr, err))
			continue
		}
		slowest = max(slowest, res.RTT)
	}
	return slowest, errors.Join(errs...)
}

// result takes note of one probe.
func (p *Prober) result(t Target, rtt time.Duration, err error) {
	p.cfg.Observer.Probed(t.Pool, t.Server, err == nil, rtt)
	p.mu.Lock()
	defer p.mu.Unlock()
	k := t.key()
	if now, ok := p.targets[k]; !ok || !now.equal(t) {
		return
	}
	v, changed := p.verdicts[k].next(err, rtt, time.Now(), t.Check)
	p.verdicts[k] = v
	if !changed {
		return
	}
	p.cfg.Observer.Judged(t.Pool, t.Server, v.ok)
	if v.ok {
		p.cfg.Logger.Info("path is good", "pool", t.Pool, "server", t.Server, "rtt", rtt)
	} else {
		p.cfg.Logger.Warn("path is bad", "pool", t.Pool, "server", t.Server, "reason", v.reason)
	}
	notify(p.tell)
}
