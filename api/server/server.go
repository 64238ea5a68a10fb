package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"runtime"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/store"
)

// Planner says what a change would do to the pools. It is pure.
type Planner interface {
	Preview(before, after *api.State, now time.Time) api.Preview
}

// Config is what a server is made of. The fields up to Planner are required.
type Config struct {
	// Name is this controller's.
	Name    string
	Store   *store.Store
	Mirror  *store.Mirror
	Planner Planner
	// Logger and Registry are optional.
	Logger   hclog.Logger
	Registry *prometheus.Registry
	// Ready adds a condition to /readyz.
	Ready func() error
	// Clock is time.Now, except in tests.
	Clock func() time.Time

	// NodeTLS is how the real servers' APIs are asked; nil: the system's
	// authorities, and no client certificate.
	NodeTLS *tls.Config
	// NodeTimeout bounds the answer of one real server. Default 5s.
	NodeTimeout time.Duration

	// MaxBody bounds the body of a request. Default 1 MiB.
	MaxBody int64
	// MaxWatches bounds the streams that are open at once. Default 128.
	MaxWatches int
	// Heartbeat is the longest silence of a stream. Default 10s.
	Heartbeat time.Duration
	// RequestTimeout bounds a request that is no stream. Default 15s.
	RequestTimeout time.Duration
}

// Server serves the API of one controller.
type Server struct {
	cfg     Config
	log     hclog.Logger
	metrics *metrics
	watches chan struct{} // one token for each open stream
	mux     *http.ServeMux
	fleet   *fleet
}

// New makes a server. It does no I/O and starts nothing.
func New(cfg Config) (*Server, error) {
	if cfg.Store == nil || cfg.Mirror == nil || cfg.Planner == nil {
		return nil, errors.New("server: Store, Mirror and Planner are required")
	}
	defaults(&cfg)
	s := &Server{
		cfg:     cfg,
		log:     cfg.Logger.Named("api"),
		metrics: newMetrics(cfg.Registry),
		watches: make(chan struct{}, cfg.MaxWatches),
		mux:     http.NewServeMux(),
		fleet:   newFleet(cfg.NodeTLS, cfg.NodeTimeout),
	}
	for _, r := range s.routes() {
		s.mux.Handle(r.method+" "+r.path, r.handler)
	}
	return s, nil
}

func defaults(cfg *Config) {
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.NodeTimeout == 0 {
		cfg.NodeTimeout = 5 * time.Second
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 1 << 20
	}
	if cfg.MaxWatches == 0 {
		cfg.MaxWatches = 128
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 10 * time.Second
	}
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = 15 * time.Second
	}
}

// route is one operation; openapi.yaml documents each.
type route struct {
	method, path string
	handler      http.Handler
}

func (s *Server) routes() []route {
	ops := node.OpsMux(s.cfg.Registry, s.ready)
	routes := []route{
		{"GET", "/healthz", ops},
		{"GET", "/readyz", ops},
		{"GET", "/metrics", ops},
		{"GET", "/openapi.yaml", http.HandlerFunc(serveOpenAPI)},
		{"POST", "/v1/apply", s.write(s.apply)},
		{"GET", "/v1/status", s.read(s.status)},
		{"GET", "/v1/plans", s.read(s.plans)},
		{"GET", "/v1/plans/{pool}", s.read(s.plan)},
		{"GET", "/v1/events", http.HandlerFunc(s.events)},
		{"GET", "/v1/version", http.HandlerFunc(s.version)},
		{"POST", "/v1/store/accept", s.write(s.acceptStore)},
		{"GET", "/v1/routes", s.read(s.originated)},
		{"GET", "/v1/routes/lookup", s.write(s.lookup)},
		{"GET", "/v1/sessions", s.write(s.sessions)},
		{"GET", "/v1/sessions/{id}", s.write(s.session)},
		{"GET", "/v1/sessions/{id}/routes", http.HandlerFunc(s.sessionRoutes)},
		{"POST", "/v1/routes/announce", s.write(s.announce)},
		{"POST", "/v1/routes/withdraw", s.write(s.withdraw)},
		{"POST", "/v1/realservers/{name}/depool", s.write(s.depool)},
		{"POST", "/v1/realservers/{name}/pool", s.write(s.pool)},
		{"POST", "/v1/realservers/{name}/weight", s.write(s.weight)},
	}
	for _, kind := range api.Kinds() {
		collection, err := api.Collection(kind)
		if err != nil {
			panic(err) // a kind without a path is a fault of the program, seen by every test
		}
		routes = append(routes,
			route{"GET", "/v1/" + collection, s.read(s.list(kind))},
			route{"GET", "/v1/" + collection + "/{name}", s.read(s.get(kind))},
			route{"DELETE", "/v1/" + collection + "/{name}", s.write(s.remove(kind))})
	}
	return routes
}

// ready tells whether reads can be answered.
func (s *Server) ready() error {
	if _, err := s.state(); err != nil {
		return err
	}
	if s.cfg.Ready != nil {
		return s.cfg.Ready()
	}
	return nil
}

// state is what the mirror knows, or an error when that is nothing.
func (s *Server) state() (*api.State, error) {
	st := s.cfg.Mirror.State()
	if st.Synced || st.FromCache {
		return st, nil
	}
	return nil, unavailable("the store has not been read yet", st.Stale)
}

// settle waits until the mirror has seen a write, so that who wrote reads it
// back. It is bounded: a mirror that lags is not worth an error.
func (s *Server) settle(ctx context.Context, revision int64) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	changed, stop := s.cfg.Mirror.Subscribe()
	defer stop()
	for s.cfg.Mirror.State().Revision < revision {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
	// The leader in this process was woken by the same change. It goes first
	// where processors are few: the answer is longer than the plan takes.
	runtime.Gosched()
}
