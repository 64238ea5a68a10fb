package speaker

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/speaker/control"
	"github.com/peerage/peerage/realserver/speaker/exchange"
	"github.com/peerage/peerage/realserver/tcpmd5"
)

// Options size a Speaker. A zero field means its default.
type Options struct {
	// Shards and Workers of the exchange; default: by processors.
	Shards, Workers int
	// StateDir is where the last good configuration is kept; empty: nowhere.
	StateDir string
	Secrets  *node.Secrets
	Logger   hclog.Logger
	// MaxConnections bounds connections in any state. Default 60,000, less
	// when the process may not have as many descriptors.
	MaxConnections int
	// MaxPending bounds connections of one source that are not up. Default 8.
	MaxPending int
	// OpenTimeout is how long a router may take for its OPEN. Default 30 s.
	OpenTimeout time.Duration
	// SendHold is the least Send Hold Time. Default 8 min, as RFC 9687 says.
	SendHold time.Duration
}

// Speaker is the whole: it implements control.Speaker.
type Speaker struct {
	opts      Options
	log       hclog.Logger
	exchange  *exchange.Exchange
	wheel     *wheel
	buffers   *buffers
	pens      sync.Pool
	keepalive []byte
	nobody    chan *State // stands for who may still ask a session that ended
	startedAt time.Time

	work    context.Context // ends when the last session has
	endWork context.CancelFunc
	closing atomic.Bool
	// sessions and writers are all goroutines of connections.
	sessions, writers sync.WaitGroup
	accepting         sync.WaitGroup

	config  atomic.Pointer[control.Config] // the last good one; nil: none yet
	origins *origins

	setting sync.Mutex // serialises Set; guards the field below
	saved   []byte     // what stands in the state directory

	mu        sync.RWMutex // guards the fields below
	table     *table
	sockets   map[where]*socket
	records   map[recordKey]*record
	customers map[string]*customer
	conns     int
	pending   map[netip.Addr]int
	problems  int // of the last configuration
	refused   [refusals]int64
	ends      map[ending]int64
}

// shutdownTime bounds the end of all sessions.
const shutdownTime = 5 * time.Second

// New makes a Speaker. It listens to nothing before Run and Set.
func New(o Options) *Speaker {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Secrets == nil {
		o.Secrets = node.OpenSecrets("")
	}
	o.MaxConnections = cmp.Or(o.MaxConnections, defaultConnections())
	o.MaxPending = cmp.Or(o.MaxPending, 8)
	o.OpenTimeout = cmp.Or(o.OpenTimeout, 30*time.Second)
	o.SendHold = cmp.Or(o.SendHold, sendHoldLeast)
	now := time.Now()
	s := &Speaker{
		opts: o, log: o.Logger, wheel: newWheel(now), buffers: newBuffers(), keepalive: bgp.AppendKeepalive(nil), nobody: make(chan *State), startedAt: now.UTC(),
		exchange: exchange.New(exchange.Config{Shards: o.Shards, Workers: o.Workers, Logger: o.Logger.Named("exchange")}),
		table:    &table{}, sockets: map[where]*socket{}, records: map[recordKey]*record{}, customers: map[string]*customer{},
		pending: map[netip.Addr]int{}, ends: map[ending]int64{},
	}
	s.pens.New = newPen
	s.origins = newOrigins(s.exchange)
	s.work, s.endWork = context.WithCancel(context.Background())
	return s
}

var _ control.Speaker = (*Speaker)(nil)

// Run holds sessions until ctx ends, and then ends them all with a Cease.
func (s *Speaker) Run(ctx context.Context) error {
	parts := node.NewGroup(s.work)
	parts.Go("exchange", s.exchange.Run)
	parts.Go("timers", s.wheel.run)
	parts.Go("origins", s.origins.run)
	if err := s.restore(ctx); err != nil {
		s.log.Error("last good configuration cannot be used: the speaker waits to be told", "error", err)
	}
	select {
	case <-ctx.Done():
	case <-parts.Context().Done(): // one failed
	}
	s.shutdown()
	s.endWork()
	return parts.Wait()
}

// shutdown ends all sessions.
func (s *Speaker) shutdown() {
	s.closing.Store(true)
	s.setting.Lock() // the last Set is through
	defer s.setting.Unlock()
	s.mu.Lock()
	sockets := s.sockets
	s.sockets = map[where]*socket{}
	s.mu.Unlock()
	for _, socket := range sockets {
		if err := socket.close(); err != nil {
			s.log.Warn("listener was not closed", "address", socket.at, "error", err)
		}
	}
	s.accepting.Wait()
	cease := bgp.Shutdown(bgp.SubAdministrativeShutdown, "the speaker is shut down")
	var open []*session
	s.eachSession(func(c *session) { open = append(open, c) })
	for _, c := range open {
		c.stop(&bgp.Error{Notification: cease, Reason: "the speaker is shut down"})
	}
	done := make(chan struct{})
	go func() {
		s.sessions.Wait()
		s.writers.Wait()
		close(done)
	}()
	timer := time.NewTimer(shutdownTime)
	defer timer.Stop()
	select {
	case <-done:
		return
	case <-timer.C:
	}
	s.log.Warn("sessions did not end in time: their connections are cut")
	for _, c := range open {
		_ = c.conn.Close() // the goroutine sees it
	}
	<-done
}

// eachSession calls f for every connection that has a session.
func (s *Speaker) eachSession(f func(*session)) {
	s.mu.RLock()
	records := make([]*record, 0, len(s.records))
	for _, r := range s.records {
		records = append(records, r)
	}
	s.mu.RUnlock()
	var conns []*session
	for _, r := range records {
		r.mu.Lock()
		conns = append(conns[:0], r.conns...)
		r.mu.Unlock()
		for _, c := range conns {
			f(c)
		}
	}
}

// Ready tells why the speaker does not do its work; nil when it does.
func (s *Speaker) Ready() error {
	if s.config.Load() == nil {
		return errors.New("the speaker was never configured: peerage-realserver does that through the control socket")
	}
	return nil
}

// optionMemory is read for each configuration: an operator may raise it while
// the speaker runs.
func optionMemory() int { return tcpmd5.OptionMemory() }
