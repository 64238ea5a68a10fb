package probe

import (
	"context"
	"maps"
	"time"

	"github.com/peerage/peerage/api"
)

const (
	// gather lets judgements that change together go out together.
	gather = 20 * time.Millisecond
	// putTimeout bounds one write.
	putTimeout = 5 * time.Second
	// retryAfter is how long a failed write waits.
	retryAfter = time.Second
)

// publish writes changes of a judgement at once, and numbers every interval.
func (p *Prober) publish(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var failing bool
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.tell:
			if !sleep(ctx, gather) {
				return
			}
		case <-timer.C:
		}
		o, wait := p.observation(time.Now())
		if o == nil {
			timer.Reset(wait)
			continue
		}
		one, cancel := context.WithTimeout(ctx, putTimeout)
		err := p.cfg.Store.PutPaths(one, o)
		cancel()
		if err != nil && !failing && ctx.Err() == nil {
			p.cfg.Logger.Warn("observations are not published; the controller goes by older ones", "error", err)
		}
		if failing = err != nil; failing {
			wait = retryAfter
		}
		timer.Reset(wait)
	}
}

// observation is what is known now. After a start it is nil until every target
// was judged: half an observation would look like servers that vanished. Later
// newcomers are left out until they are judged, and hold nobody up. What has not been heard of for long is left out: old news is no news.
func (p *Prober) observation(now time.Time) (o *api.PathObservation, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	paths := map[string]map[string]api.Path{}
	for k, t := range p.targets {
		v, ok := p.verdicts[k]
		if !ok || !v.known {
			if !p.complete && now.Sub(p.since[k]) < t.firstWord() {
				return nil, max(min(t.interval(), p.interval), gather)
			}
			continue
		}
		if now.Sub(v.last) > t.patience() {
			continue
		}
		if paths[k.pool] == nil {
			paths[k.pool] = map[string]api.Path{}
		}
		paths[k.pool][k.server] = v.path()
	}
	p.complete = p.complete || len(p.targets) > 0
	return &api.PathObservation{Schema: api.Schema, LB: p.cfg.LB, At: now.UTC(), Paths: paths}, p.interval
}

// Paths is what is known now, for those who ask.
func (p *Prober) Paths() map[string]map[string]api.Path {
	o, _ := p.observation(time.Now())
	if o == nil {
		return nil
	}
	return maps.Clone(o.Paths)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
