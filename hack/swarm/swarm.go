package swarm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
)

// Limits of a swarm.
const (
	MaxSessions = 100_000
	// DefaultRate bounds how many connections are opened in a second.
	DefaultRate = 500
)

// Config says what a swarm does. Every field but those marked optional is needed.
type Config struct {
	// Targets are tried in turn: session i goes to the targets of its
	// source's family.
	Targets []netip.AddrPort
	From    []netip.Prefix
	// Sessions is how many, at most MaxSessions.
	Sessions int
	// FirstAS is the AS of session 0; session i has FirstAS + i mod ASes.
	FirstAS uint32
	ASes    uint32
	// PeerAS is checked against the OPEN; 0 takes any. Optional.
	PeerAS uint32
	// HoldTime is offered, 3 s..65535 s, or 0 for none.
	HoldTime time.Duration
	// MD5 holds the key; every session whose index is below MD5Share·Sessions
	// in an even spread uses it. Optional.
	MD5      string
	MD5Share float64
	Profile  Profile
	// Rate bounds the connections opened in a second.
	Rate int
	// Table is announced by every session once it is up. Optional.
	Table *Table
	// Seed makes the jitter repeatable. Optional.
	Seed uint64
}

// Validate reports what is missing or out of bounds.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(len(c.Targets) > 0, "no target given; name one, such as 203.0.113.179:179")
	check(c.Sessions > 0 && c.Sessions <= MaxSessions, "%d sessions; use 1 to %d", c.Sessions, MaxSessions)
	check(c.HoldTime == 0 || c.HoldTime >= 3*time.Second && c.HoldTime <= 65535*time.Second, "hold time %s; use 0 or 3s to 65535s (RFC 4271 section 4.2)", c.HoldTime)
	check(c.FirstAS > 0 && c.ASes > 0, "AS numbers begin at 1")
	check(c.Rate > 0, "a rate of %d sessions per second opens none", c.Rate)
	check(len(c.MD5) <= 80, "the TCP-MD5 key has %d bytes; the kernel takes 80", len(c.MD5))
	check(c.MD5Share >= 0 && c.MD5Share <= 1, "the share of MD5 sessions is %v; use 0 to 1", c.MD5Share)
	for _, p := range c.From {
		check(len(c.targets(p.Addr())) > 0, "source prefix %s: no target of that family", p)
	}
	return errors.Join(errs...)
}

func (c *Config) targets(source netip.Addr) (ts []netip.AddrPort) {
	for _, t := range c.Targets {
		if t.Addr().Is4() == source.Is4() {
			ts = append(ts, t)
		}
	}
	return ts
}

// md5 tells whether session i signs its segments: an even spread of the share.
func (c *Config) md5(i int) bool {
	if c.MD5 == "" {
		return false
	}
	share := c.MD5Share
	return int(float64(i+1)*share) > int(float64(i)*share)
}

// Swarm is a running set of sessions.
type Swarm struct {
	cfg          Config
	capabilities []bgp.Capability
	keepalive    []byte
	began        time.Time
	sessions     []*session
	permits      chan struct{} // one a connection to open; filled by pacemaker

	mu     sync.Mutex
	cancel context.CancelCauseFunc // of the sessions of Run
}

// New checks the configuration and prepares the sessions; nothing is sent yet.
func New(cfg Config) (*Swarm, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	sources, err := NewSources(cfg.From, cfg.Sessions)
	if err != nil {
		return nil, err
	}
	s := &Swarm{
		cfg:       cfg,
		keepalive: bgp.AppendKeepalive(nil),
		permits:   make(chan struct{}),
		capabilities: []bgp.Capability{
			bgp.Multiprotocol(bgp.IPv4Unicast), bgp.Multiprotocol(bgp.IPv6Unicast),
			{Code: bgp.CapRouteRefresh}, {Code: bgp.CapExtendedMessage},
		},
	}
	for i := range cfg.Sessions {
		source := sources.At(i)
		targets := cfg.targets(source)
		one := &session{
			swarm: s, index: i, source: source, target: targets[i%len(targets)],
			as: cfg.FirstAS + uint32(i)%cfg.ASes, random: newRandom(cfg.Seed, i),
		}
		if cfg.md5(i) {
			one.key = cfg.MD5
		}
		one.record = Record{Index: i, Source: source, AS: one.as, MD5: one.key != ""}
		s.sessions = append(s.sessions, one)
	}
	return s, nil
}

// Run keeps the sessions up until ctx ends, then closes each with a Cease. It
// returns early with an error that retrying cannot mend, such as sources that
// are not local. Run is called once.
func (s *Swarm) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	s.cancel, s.began = cancel, time.Now()
	s.mu.Unlock()

	var all sync.WaitGroup
	all.Go(func() { s.pacemaker(ctx) })
	for _, one := range s.sessions {
		all.Go(func() { one.run(ctx) })
	}
	all.Wait()
	var setup *setupError
	if err := context.Cause(ctx); errors.As(err, &setup) {
		return err
	}
	return nil
}

// pacemaker hands out permits at the configured rate. Permits that nobody
// takes are not saved up.
func (s *Swarm) pacemaker(ctx context.Context) {
	const ticks = 100 // a second
	ticker := time.NewTicker(time.Second / ticks)
	defer ticker.Stop()
	owed := 0.0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		owed = min(owed+float64(s.cfg.Rate)/ticks, float64(max(1, s.cfg.Rate/ticks)))
		for ; owed >= 1; owed-- {
			select {
			case <-ctx.Done():
				return
			case s.permits <- struct{}{}:
			default:
			}
		}
	}
}

// pace waits for a permit to open a connection.
func (s *Swarm) pace(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-s.permits:
		return true
	}
}

// fail ends the run.
func (s *Swarm) fail(err error) {
	s.mu.Lock()
	cancel := s.cancel
	s.mu.Unlock()
	cancel(err)
}

// since is the time since the run began.
func (s *Swarm) since() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began.IsZero() {
		return 0
	}
	return time.Since(s.began)
}

// Records copies what every session went through.
func (s *Swarm) Records() []Record {
	out := make([]Record, len(s.sessions))
	for i, one := range s.sessions {
		one.mu.Lock()
		out[i] = one.record
		out[i].Outages = append([]time.Duration(nil), one.record.Outages...)
		out[i].History = append([]Change(nil), one.record.History...)
		one.mu.Unlock()
	}
	return out
}
