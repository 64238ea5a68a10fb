package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/peerage/peerage/agent/bird"
	"github.com/peerage/peerage/agent/probe"
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
	PutApplied(ctx context.Context, a *api.Applied) error
	// DeleteApplied takes back what was told of a pool that is not carried.
	DeleteApplied(ctx context.Context, pool, lb string) error
}

// Prober measures the paths to the real servers.
type Prober interface {
	// Set hands over all targets; it does not block.
	Set(targets []probe.Target, interval time.Duration)
}

// Config says what an agent works with.
type Config struct {
	// Name is the LB's name in the site.
	Name   string
	Host   Host
	Source Source
	Store  Store
	Prober Prober
	Logger hclog.Logger
	// Metrics may be nil.
	Metrics *Metrics
	// HostID names this life of the kernel.
	HostID string
	// StateDir keeps the record.
	StateDir string
	// FullEvery is the time between two full rounds; 0: 10s.
	FullEvery time.Duration
	// Grace is how long a withdrawn service stays, for what the fabric still
	// has under way; 0: 1s.
	Grace time.Duration
	// SickRounds is how many full rounds may fail to make a table equal before
	// the LB counts as sick; 0: 3.
	SickRounds int
	// StepTimeout bounds one step of a round; 0: 15s. Each step has its own: a
	// packet filter that hangs must not take BIRD's time.
	StepTimeout time.Duration
}

const (
	defaultFullEvery   = 10 * time.Second
	defaultGrace       = time.Second
	defaultSickRounds  = 3
	defaultStepTimeout = 15 * time.Second
	defaultObserve     = 5 * time.Second
	// storePatience bounds how long the first round waits for the store.
	storePatience = 3 * time.Second
	// firstRetry is how soon a part that failed is tried again; each failure
	// doubles it, up to the time between full rounds.
	firstRetry = time.Second
)

// Agent makes one host equal to the plans. One goroutine owns the host; weights
// alone have a lane past it.
type Agent struct {
	cfg Config
	log hclog.Logger
	pub *publisher

	// The fields below belong to the goroutine that runs the rounds.
	rec   *record
	saved saved
	// awake says that the record was brought to this life of the kernel.
	awake bool
	// tables are the last dump; tablesKnown says that there was one.
	tables      []api.Table
	tablesKnown bool
	known       map[string]*facts // by pool
	found       map[*facts]string // fingerprints of tables
	last        inputs            // of the last round
	// speech is what was last read from BIRD; speechKnown says it ever was.
	speech      bird.State
	speechKnown bool
	done        memo
	rulesSeen   time.Time      // when the packet filter was looked at last
	errs        map[part]error // what is wrong with the host now
	retry       time.Duration  // when the parts that failed are tried again
	gone        departure
	sick        map[string]int       // full rounds in a row that failed, by pool
	drift       map[string]int64     // by pool
	arrived     map[string]time.Time // when a generation was first seen, by pool
	took        map[string]time.Duration
	counters    map[service]map[netip.Addr]api.ServerCounters
	reasons     map[string]map[netip.Addr]gateReason // by pool, for the log

	lane lane

	mu    sync.Mutex // guards the fields below
	ready error      // why the last round was not good
	ran   bool
}

// New makes an agent. It reads the record; a damaged one is reported and
// counts as none.
func New(cfg Config) (*Agent, error) {
	if cfg.Name == "" || cfg.HostID == "" || cfg.StateDir == "" {
		return nil, errors.New("agent: name, host id and state directory are needed")
	}
	cfg.FullEvery = or(cfg.FullEvery, defaultFullEvery)
	cfg.Grace = or(cfg.Grace, defaultGrace)
	cfg.StepTimeout = or(cfg.StepTimeout, defaultStepTimeout)
	cfg.SickRounds = or(cfg.SickRounds, defaultSickRounds)
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	a := &Agent{
		cfg: cfg, log: cfg.Logger,
		pub:     newPublisher(cfg.Name, cfg.Store, cfg.Logger.Named("publish"), cfg.Metrics),
		gone:    departure{},
		sick:    map[string]int{},
		drift:   map[string]int64{},
		arrived: map[string]time.Time{},
		took:    map[string]time.Duration{},
		reasons: map[string]map[netip.Addr]gateReason{},
		done:    memo{},
		errs:    map[part]error{},
		known:   map[string]*facts{},
		found:   map[*facts]string{},
	}
	var err error
	if a.rec, err = loadRecord(a.recordPath()); err != nil {
		a.log.Warn("the record of before is lost; the host is adopted as it is found", "error", err)
	}
	if lb := a.rec.LoadBalancer; lb != nil && lb.Name != cfg.Name {
		return nil, fmt.Errorf("state directory %s belongs to LoadBalancer/%s, and --name says %s: correct one of them, or run `peerage-agent --withdraw` as %[2]s first",
			cfg.StateDir, lb.Name, cfg.Name)
	}
	return a, nil
}

func (a *Agent) recordPath() string { return filepath.Join(a.cfg.StateDir, recordFile) }

// Run keeps the host equal to the plans until ctx ends. It then finishes the
// round that it is in and leaves everything as it is.
func (a *Agent) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.pub.run(ctx) })
	g.Go(func() error { return a.reconcile(ctx) })
	g.Go(func() error { return a.express(ctx) })
	err := g.Wait()
	a.keepAhead()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("agent: %w", err)
	}
	return nil
}

// reconcile is the owner of the host.
func (a *Agent) reconcile(ctx context.Context) error {
	changed, cancel := a.cfg.Source.Subscribe()
	defer cancel()
	a.awaitStore(ctx, changed)
	full, observe := time.NewTimer(0), time.NewTimer(a.observeEvery())
	wake := time.NewTimer(time.Hour)
	defer full.Stop()
	defer observe.Stop()
	defer wake.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-observe.C:
			a.observe(ctx)
			observe.Reset(a.observeEvery())
		case <-full.C:
			wake.Reset(or(a.round(ctx, roundFull), time.Hour))
			full.Reset(a.cfg.FullEvery)
		case <-changed:
			if in := inputsOf(a.cfg.Source.State(), a.cfg.Name); !in.equal(a.last) {
				wake.Reset(or(a.round(ctx, roundChange), time.Hour))
			}
		case <-wake.C:
			wake.Reset(or(a.round(ctx, roundWake), time.Hour))
		}
	}
}

// awaitStore gives the store a moment at the start. The kernel may be ahead of
// the record by weights that the process before wrote, and a round on the record
// alone would take them back until the store is read.
func (a *Agent) awaitStore(ctx context.Context, changed <-chan struct{}) {
	patience := time.NewTimer(storePatience)
	defer patience.Stop()
	for believe(a.cfg.Source.State()) != nil {
		select {
		case <-ctx.Done():
			return
		case <-patience.C:
			return
		case <-changed:
		}
	}
}

// express writes weights while the owner of the host is busy with something
// slow; see lane.
func (a *Agent) express(ctx context.Context) error {
	changed, cancel := a.cfg.Source.Subscribe()
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			a.hurry(context.WithoutCancel(ctx), a.cfg.Source.State())
		}
	}
}

func (a *Agent) observeEvery() time.Duration {
	if s := a.cfg.Source.State().Settings; s != nil && s.Spec.ObserveInterval > 0 {
		return time.Duration(s.Spec.ObserveInterval)
	}
	return defaultObserve
}

// Ready tells why the agent is not ready; nil when its last round was good.
func (a *Agent) Ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ran {
		return errors.New("no round has run yet")
	}
	return a.ready
}

func (a *Agent) setReady(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ran, a.ready = true, err
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
