package agent

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api"
)

const (
	// putTimeout bounds one write to the store.
	putTimeout = 5 * time.Second
	// retryAfter is how long a failed write waits.
	retryAfter = time.Second
	// gather lets changes of several pools in one round go out together.
	gather = 5 * time.Millisecond
)

// publisher writes what was reached to the store, in a goroutine of its own:
// a store that hangs must not hold up the host.
type publisher struct {
	lb      string
	store   Store
	log     hclog.Logger
	metrics *Metrics
	wake    chan struct{} // one slot

	mu       sync.Mutex // guards the fields below
	latest   map[string]*api.Applied
	lost     map[string]bool
	gone     []string
	interval time.Duration

	// sent and at belong to the goroutine of run.
	sent map[string]*api.Applied
	at   map[string]time.Time
}

func newPublisher(lb string, store Store, log hclog.Logger, m *Metrics) *publisher {
	return &publisher{
		lb: lb, store: store, log: log, metrics: m, wake: make(chan struct{}, 1),
		latest: map[string]*api.Applied{}, interval: defaultObserve,
		sent: map[string]*api.Applied{}, at: map[string]time.Time{},
	}
}

// set hands over the newest word on pools. It never blocks. Lost are pools of
// which the store, believed, holds nothing of ours; gone are those of which it
// should hold nothing any more.
func (p *publisher) set(applied []*api.Applied, lost map[string]bool, gone []string, interval time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.interval, p.lost, p.gone = interval, lost, gone
	for _, pool := range gone {
		delete(p.latest, pool)
	}
	for _, a := range applied {
		p.latest[a.Pool] = a
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *publisher) run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
			pause := time.NewTimer(gather)
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
			pause.Stop()
		case <-timer.C:
		}
		timer.Reset(p.flush(ctx))
	}
}

// flush writes what is due, and tells when to look again.
func (p *publisher) flush(ctx context.Context) time.Duration {
	p.mu.Lock()
	latest, lost, gone, interval := maps.Clone(p.latest), p.lost, p.gone, p.interval
	p.mu.Unlock()
	next := time.Hour
	for _, pool := range gone {
		delete(p.sent, pool)
		if err := p.put(ctx, func(ctx context.Context) error { return p.store.DeleteApplied(ctx, pool, p.lb) }); err != nil {
			return retryAfter
		}
	}
	for _, pool := range slices.Sorted(maps.Keys(latest)) {
		a := latest[pool]
		due := p.due(a, lost[pool], interval)
		if due > 0 {
			next = min(next, due)
			continue
		}
		if due < 0 {
			continue
		}
		if err := p.put(ctx, func(ctx context.Context) error { return p.store.PutApplied(ctx, a) }); err != nil {
			return retryAfter
		}
		p.sent[pool], p.at[pool] = a, time.Now()
	}
	return next
}

func (p *publisher) put(ctx context.Context, write func(context.Context) error) error {
	one, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	err := write(one)
	p.metrics.published(err)
	if err != nil && ctx.Err() == nil {
		p.log.Debug("not published; it is tried again", "error", err)
	}
	return err
}

// due tells when a pool is to be written: 0 now, below 0 not at all.
func (p *publisher) due(a *api.Applied, lost bool, interval time.Duration) time.Duration {
	sent := p.sent[a.Pool]
	switch {
	case sent == nil || !sameState(sent, a):
		return 0
	case !lost && sent.Drift == a.Drift && maps.Equal(sent.Servers, a.Servers):
		return -1
	}
	return max(interval-time.Since(p.at[a.Pool]), 0)
}

// sameState compares all but numbers.
func sameState(a, b *api.Applied) bool {
	return a.Generation == b.Generation && a.Fingerprint == b.Fingerprint && a.Error == b.Error &&
		a.Warm == b.Warm && maps.Equal(a.VIPs, b.VIPs) && maps.Equal(a.Peers, b.Peers)
}
