package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/store"
)

// DefaultTTL is how long a leader that died without resigning keeps others from
// leading. Nothing changes on any load balancer meanwhile, so it is chosen for
// a quiet election rather than a fast one.
const DefaultTTL = 5 * time.Second

// Config is what a controller works with.
type Config struct {
	// Live is how the controller shows itself under live/; its Name is the
	// name in elections and must differ from that of every other controller.
	Live api.Live
	// Store and Mirror are the site's. The caller runs the mirror.
	Store  *store.Store
	Mirror *store.Mirror
	// TTL of the lease of the registration and of the leadership; DefaultTTL if 0.
	TTL time.Duration
	// Logger and Metrics are optional.
	Logger  hclog.Logger
	Metrics *Metrics
}

// Controller is one candidate for leading a site.
type Controller struct {
	cfg   Config
	log   hclog.Logger
	trail *trail
}

// New makes a controller; Run lets it work.
func New(cfg Config) *Controller {
	if cfg.TTL == 0 {
		cfg.TTL = DefaultTTL
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Metrics == nil {
		cfg.Metrics = newMetrics()
	}
	log := cfg.Logger.Named("controller")
	return &Controller{cfg: cfg, log: log, trail: newTrail(cfg.Store, log, cfg.Metrics)}
}

// Run registers the controller, stands for election again and again, and
// leads whenever it is elected, until ctx ends. A store that does not answer is
// waited for.
func (c *Controller) Run(ctx context.Context) error {
	g := node.NewGroup(ctx)
	g.Go("register", func(ctx context.Context) error { return c.cfg.Store.Register(ctx, c.cfg.Live, c.cfg.TTL) })
	g.Go("trail", c.trail.run)
	g.Go("election", c.stand)
	return g.Wait()
}

// stand campaigns, leads, and campaigns again.
func (c *Controller) stand(ctx context.Context) error {
	var pause backoff
	for ctx.Err() == nil {
		c.cfg.Metrics.enter(stateFollowing)
		leadership, err := c.cfg.Store.Campaign(ctx, c.cfg.Live.Name, c.cfg.TTL)
		if err != nil {
			if ctx.Err() == nil {
				c.log.Warn("election failed", "error", err)
				pause.wait(ctx)
			}
			continue
		}
		pause.reset()
		newTerm(c, leadership).lead(ctx)
	}
	return nil
}

// believable tells why nothing may be planned from a state: what is missing
// from it may only not have been read.
func believable(s *api.State) error {
	switch {
	case s.Held != nil:
		return fmt.Errorf("the store is held: %w", s.Held)
	case s.Stale != nil:
		return fmt.Errorf("the store does not answer since %s: %w", s.StaleSince.Format(time.TimeOnly), s.Stale)
	case s.FromCache || !s.Synced:
		return errUnread
	}
	return nil
}
