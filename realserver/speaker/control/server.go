package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/netip"
	"time"
)

const (
	// maxConfig bounds a Config: 10,000 customers take about 5 MiB.
	maxConfig = 64 << 20
	// maxStreams bounds the streams of routes at a time: each keeps the
	// speaker at work for as long as its reader likes.
	maxStreams = 8
	// maxText bounds a shutdown communication (RFC 9003 section 2).
	maxText = 255
	// streamWrite bounds a reader of a stream that stopped reading.
	streamWrite = 30 * time.Second
	// flushEvery is the number of routes after which a stream is pushed out.
	flushEvery = 512
)

// Errors that a Speaker answers with.
var (
	// ErrNotFound means that there is no such session.
	ErrNotFound = errors.New("not found")
	// ErrRefused means that the request is understood and would do harm.
	ErrRefused = errors.New("refused")
	// ErrInvalid means that what was asked makes no sense.
	ErrInvalid = errors.New("invalid")
)

// Filter selects sessions; an empty field matches all.
type Filter struct {
	Customer, Pool string
	Peer           netip.Addr
}

// LookupFilter narrows a lookup to one customer or one session.
type LookupFilter struct {
	Customer, Session string
}

// Speaker is what the socket serves.
type Speaker interface {
	// Set makes the speaker accept what c says and nothing else. ErrRefused:
	// an additive one would end sessions. ErrInvalid: it makes no sense.
	Set(ctx context.Context, c Config) (ConfigResult, error)
	// Config is the last good one; false: there was none yet.
	Config() (Config, bool)
	Status() Status
	// Sessions are sorted by id.
	Sessions(Filter) []Session
	// Session, Reset and Routes fail with ErrNotFound.
	Session(id string) (Session, error)
	Reset(id, text string) error
	Routes(ctx context.Context, id string) (iter.Seq2[Route, error], error)
	// Lookup finds the longest match of each session.
	Lookup(ctx context.Context, addr netip.Addr, f LookupFilter) ([]Route, error)
}

// server serves a Speaker.
type server struct {
	speaker Speaker
	streams chan struct{}
}

// Handler serves s; ops serves PathMetrics and PathHealth.
func Handler(s Speaker, ops http.Handler) http.Handler {
	srv := &server{s, make(chan struct{}, maxStreams)}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT "+PathConfig, srv.putConfig)
	mux.HandleFunc("GET "+PathConfig, srv.getConfig)
	mux.HandleFunc("GET "+PathStatus, func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Status()) })
	mux.HandleFunc("GET "+PathSessions, srv.sessions)
	mux.HandleFunc("GET "+PathSession, srv.session)
	mux.HandleFunc("POST "+PathReset, srv.reset)
	mux.HandleFunc("GET "+PathRoutes, srv.routes)
	mux.HandleFunc("GET "+PathLookup, srv.lookup)
	mux.Handle("GET "+PathMetrics, ops)
	mux.Handle("GET "+PathHealth, ops)
	return mux
}

// Failure is the body of an answer that is no success.
type Failure struct {
	Error string `json:"error"`
}

func fail(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	switch {
	case errors.Is(err, ErrNotFound):
		code = http.StatusNotFound
	case errors.Is(err, ErrRefused):
		code = http.StatusConflict
	case errors.Is(err, ErrInvalid):
		code = http.StatusBadRequest
	case errors.Is(err, errBusy):
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(Failure{err.Error()})
}

var errBusy = fmt.Errorf("%d streams of routes are open, the most at a time; try again when one has ended", maxStreams)

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (s *server) putConfig(w http.ResponseWriter, r *http.Request) {
	var c Config
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxConfig))
	if err := d.Decode(&c); err != nil {
		fail(w, fmt.Errorf("%w configuration: %w", ErrInvalid, err))
		return
	}
	if c.Schema > Schema || c.Schema < 1 {
		fail(w, fmt.Errorf("%w configuration: schema %d is not known, only 1 to %d; upgrade the speaker", ErrInvalid, c.Schema, Schema))
		return
	}
	result, err := s.speaker.Set(r.Context(), c)
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, result)
}

func (s *server) getConfig(w http.ResponseWriter, _ *http.Request) {
	c, ok := s.speaker.Config()
	if !ok {
		fail(w, fmt.Errorf("the speaker was never configured: %w", ErrNotFound))
		return
	}
	reply(w, c)
}

func (s *server) sessions(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := Filter{Customer: q.Get("customer"), Pool: q.Get("pool")}
	if peer := q.Get("peer"); peer != "" {
		var err error
		if f.Peer, err = netip.ParseAddr(peer); err != nil {
			fail(w, fmt.Errorf("%w peer: %w", ErrInvalid, err))
			return
		}
	}
	all := s.speaker.Sessions(f)
	if all == nil {
		all = []Session{}
	}
	reply(w, all)
}

func (s *server) session(w http.ResponseWriter, r *http.Request) {
	session, err := s.speaker.Session(r.PathValue("id"))
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, session)
}

func (s *server) reset(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("text")
	if len(text) > maxText {
		fail(w, fmt.Errorf("%w text: %d bytes are more than the %d that a NOTIFICATION takes", ErrInvalid, len(text), maxText))
		return
	}
	if err := s.speaker.Reset(r.PathValue("id"), text); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) lookup(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	addr, err := netip.ParseAddr(q.Get("addr"))
	if err != nil {
		fail(w, fmt.Errorf("%w addr: %w", ErrInvalid, err))
		return
	}
	routes, err := s.speaker.Lookup(r.Context(), addr.Unmap(), LookupFilter{q.Get("customer"), q.Get("session")})
	if err != nil {
		fail(w, err)
		return
	}
	if routes == nil {
		routes = []Route{}
	}
	reply(w, routes)
}

// routes streams. An error in the middle is the last line, a Failure: the
// status is sent by then.
func (s *server) routes(w http.ResponseWriter, r *http.Request) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		fail(w, errBusy)
		return
	}
	routes, err := s.speaker.Routes(r.Context(), r.PathValue("id"))
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	if err := stream(w, routes); err != nil {
		_ = json.NewEncoder(w).Encode(Failure{err.Error()})
		return
	}
	// The end is told too: a reader must not take a cut stream for a whole one.
	_, _ = io.WriteString(w, "{}\n")
}

func stream(w http.ResponseWriter, routes iter.Seq2[Route, error]) error {
	control, enc := http.NewResponseController(w), json.NewEncoder(w)
	n := 0
	for route, err := range routes {
		if err != nil {
			return err
		}
		if n%flushEvery == 0 {
			if err := control.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return err
			}
		}
		if err := enc.Encode(&route); err != nil {
			return err
		}
		n++
	}
	return nil
}
