package swarm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
)

// Swarm is a running set of sessions.
type Swarm struct {
	cfg       Config
	sources   []*Sources
	offer4    []bgp.Capability // of sessions with an IPv4 source
	offer6    []bgp.Capability
	keepalive []byte
	sessions  []*session
	began     atomic.Pointer[time.Time]
	pace      *pace
	skipped   atomic.Int64 // steps of the churn that found a session busy

	mu     sync.Mutex
	cancel context.CancelCauseFunc // of the sessions of Run
	marks  []*Mark
}

// New checks the configuration and prepares the sessions; nothing is sent yet.
func New(cfg Config) (*Swarm, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Swarm{cfg: cfg, keepalive: bgp.AppendKeepalive(nil), pace: newPace(cfg.Rate, cfg.InFlight)}
	at, err := s.assign()
	if err != nil {
		return nil, err
	}
	for i := range cfg.Sessions {
		source, turn := at(i)
		targets := cfg.targets(source)
		if source.Is4() {
			s.offer4 = cfg.capabilities(source)
		} else {
			s.offer6 = cfg.capabilities(source)
		}
		one := &session{swarm: s, target: targets[turn%len(targets)]}
		one.record = Record{Index: i, Source: source, AS: cfg.FirstAS + uint32(i)%cfg.ASes, MD5: cfg.md5(i)}
		s.sessions = append(s.sessions, one)
	}
	return s, nil
}

// assign shares the sources out. at is called for each session in order; turn
// counts those that had a source of the same prefix before.
func (s *Swarm) assign() (at func(i int) (source netip.Addr, turn int), err error) {
	signed := 0
	for i := range s.cfg.Sessions {
		if len(s.cfg.MD5From) > 0 && s.cfg.md5(i) {
			signed++
		}
	}
	plain, err := NewSources(s.cfg.From, s.cfg.Sessions-signed)
	if err != nil {
		return nil, err
	}
	s.sources = []*Sources{plain}
	if len(s.cfg.MD5From) == 0 {
		return func(i int) (netip.Addr, int) { return plain.At(i), i / len(plain.ranges) }, nil
	}
	own, err := NewSources(s.cfg.MD5From, signed)
	if err != nil {
		return nil, err
	}
	s.sources = append(s.sources, own)
	var next [2]int
	return func(i int) (netip.Addr, int) {
		from, n := plain, &next[0]
		if s.cfg.md5(i) {
			from, n = own, &next[1]
		}
		*n++
		return from.At(*n - 1), (*n - 1) / len(from.ranges)
	}, nil
}

// Run keeps the sessions up until ctx ends, then closes each with a Cease. It
// returns early with an error that retrying cannot mend, such as sources that
// are not local. Run is called once.
func (s *Swarm) Run(ctx context.Context) error {
	errs := []error{checkFiles(len(s.sessions))}
	for _, sources := range s.sources {
		errs = append(errs, sources.checkLocal())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	s.cancel = cancel
	s.mu.Unlock()
	now := time.Now()
	s.began.Store(&now)

	var all sync.WaitGroup
	all.Go(func() { s.churn(ctx) })
	all.Go(func() {
		<-ctx.Done()
		for _, one := range s.sessions {
			one.interrupt()
		}
	})
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

// fail ends the run.
func (s *Swarm) fail(err error) {
	s.mu.Lock()
	cancel := s.cancel
	s.mu.Unlock()
	cancel(err)
}

// since is the time since the run began.
func (s *Swarm) since() Seconds {
	began := s.began.Load()
	if began == nil {
		return 0
	}
	return Seconds(time.Since(*began))
}

// at is a moment of the run as an absolute time.
func (s *Swarm) at(moment Seconds) time.Time { return s.began.Load().Add(time.Duration(moment)) }

// Records copies what every session went through.
func (s *Swarm) Records() []Record {
	out := make([]Record, len(s.sessions))
	for i, one := range s.sessions {
		one.mu.Lock()
		out[i] = one.record.clone()
		out[i].Acked = one.acked
		one.mu.Unlock()
	}
	return out
}

// Established counts the sessions that are up.
func (s *Swarm) Established() (n int) {
	for _, one := range s.sessions {
		one.mu.Lock()
		if one.record.State == Established {
			n++
		}
		one.mu.Unlock()
	}
	return n
}

// AwaitEstablished waits until every session is up at the same moment, within
// limit, and marks that moment.
func (s *Swarm) AwaitEstablished(ctx context.Context, limit time.Duration) (*Mark, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		n := s.Established()
		if n == len(s.sessions) {
			return s.Mark(), nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, fmt.Errorf("%w: %d of %d sessions established within %s", ErrExpectation, n, len(s.sessions), limit)
			}
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}
