package realserver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api"
)

// Source is the agent's view of the store.
type Source interface {
	// State is never nil and never changes.
	State() *api.State
	// Subscribe returns a one-slot channel that tells of a new state.
	Subscribe() (changed <-chan struct{}, cancel func())
}

// Store takes what the agent reports.
type Store interface {
	PutServer(ctx context.Context, o *api.ServerObservation) error
}

// Config says what an agent works with.
type Config struct {
	// Name is the real server's name in the site.
	Name   string
	Host   Host
	Check  CheckFunc
	Source Source
	Store  Store
	Logger hclog.Logger
	// Metrics are optional.
	Metrics *Metrics
	// FullEvery is the time between two rounds that nothing asked for; they
	// find what others changed. 0: 10s.
	FullEvery time.Duration
}

const (
	defaultFullEvery = 10 * time.Second
	// roundTimeout bounds one pass over the host.
	roundTimeout = time.Minute
	// statusTimeout bounds one question to the speaker.
	statusTimeout = 3 * time.Second
)

// Agent makes one machine a real server.
type Agent struct {
	cfg Config
	log hclog.Logger

	mu     sync.Mutex // guards the fields below
	now    *desired   // what was applied last; nil before
	failed error      // why the last round was not good
	ran    bool
	health map[string]*health
	engine string
	silent error // why the speaker did not answer

	wake chan struct{} // one slot: the publisher has news
}

// health is what is known of one pool's speaker.
type health struct {
	trend
	SessionCount
	generation int64
}

// New makes an agent; Run lets it work.
func New(cfg Config) (*Agent, error) {
	if cfg.Name == "" {
		return nil, errors.New("real server: a name is needed, the one of its RealServer object")
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(nil)
	}
	if cfg.FullEvery == 0 {
		cfg.FullEvery = defaultFullEvery
	}
	return &Agent{cfg: cfg, log: cfg.Logger, health: map[string]*health{}, wake: make(chan struct{}, 1)}, nil
}

// Run works until ctx ends, and leaves everything as it is.
func (a *Agent) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { a.reconcile(ctx) })
	wg.Go(func() { a.examine(ctx) })
	wg.Go(func() { a.publish(ctx) })
	wg.Wait()
	return nil
}

// Ready tells why the server is not what it should be; nil when it is.
func (a *Agent) Ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ran {
		return errors.New("the first round is not over")
	}
	return a.failed
}

// reconcile is the only one that changes the host.
func (a *Agent) reconcile(ctx context.Context) {
	changed, cancel := a.cfg.Source.Subscribe()
	defer cancel()
	full := time.NewTicker(a.cfg.FullEvery)
	defer full.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-full.C:
		}
		a.round(ctx)
	}
}

// round makes the host equal to the newest state.
func (a *Agent) round(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	st := a.cfg.Source.State()
	d, err := desire(a.cfg.Name, st, time.Now())
	var drifted []string
	if err == nil {
		drifted, err = a.cfg.Host.apply(ctx, d, mayRemove(a.cfg.Name, st))
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return // stopped: what was begun is finished by the next start
	}
	a.settle(d, err)
	a.cfg.Metrics.round(err, len(drifted))
	for _, name := range drifted {
		a.log.Info("kernel parameter repaired", "name", name)
	}
}

// settle keeps the outcome of a round.
func (a *Agent) settle(d *desired, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if text := reason(err); text != reason(a.failed) && err != nil {
		a.log.Error("round failed", "error", err)
	} else if a.failed != nil && err == nil {
		a.log.Info("round succeeded again")
	}
	a.failed, a.ran = err, true
	// An agent that was restarted and cannot change its host (a key is gone,
	// say) still judges the speaker that it finds: it may serve all the same.
	if d == nil || err != nil && a.now != nil {
		return
	}
	if a.now == nil || len(a.now.speaker.Services) != len(d.speaker.Services) {
		a.log.Info("services", "count", len(d.speaker.Services), "vips", fmt.Sprint(d.addresses()))
	}
	a.now = d
	for pool, generation := range d.generations {
		h := a.health[pool]
		if h == nil {
			h = &health{}
			a.health[pool] = h
		}
		if err == nil && h.generation != generation {
			h.generation = generation
			notify(a.wake)
		}
	}
	for pool := range a.health {
		if _, ok := d.generations[pool]; !ok {
			delete(a.health, pool)
			a.cfg.Metrics.forget(pool)
			notify(a.wake)
		}
	}
}

// current is what was applied last; nil before the first good round.
func (a *Agent) current() *desired {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
