package server

import (
	"context"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/peerage/peerage/api"
)

// ServeHTTP implements http.Handler: it bounds the request, counts it, and
// answers in the API's own words where no operation fits.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		if cause := recover(); cause != nil {
			if cause == http.ErrAbortHandler { //nolint:errorlint // a panic value, compared as net/http does
				panic(cause)
			}
			s.log.Error("request panicked", "path", r.URL.Path, "panic", cause, "stack", string(debug.Stack()))
			s.fail(rec, r, &api.Error{Code: api.ErrorInternal, Message: "the server has a fault; its log says more"})
		}
		s.metrics.observe(r, rec.status, time.Since(began))
	}()
	// The deadlines bound a client that dawdles; a stream sets its own.
	rc := http.NewResponseController(rec)
	_ = rc.SetReadDeadline(began.Add(s.cfg.RequestTimeout)) // a connection without deadlines is a test's
	_ = rc.SetWriteDeadline(began.Add(2 * s.cfg.RequestTimeout))
	if _, pattern := s.mux.Handler(r); pattern == "" {
		s.noRoute(rec, r)
		return
	}
	s.mux.ServeHTTP(rec, r)
}

// noRoute tells a wrong method from a wrong path.
func (s *Server) noRoute(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		if _, pattern := s.mux.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host}); pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		s.fail(w, r, &api.Error{Code: api.ErrorNotFound, Message: "there is no " + r.URL.Path, Hint: "/openapi.yaml lists every path"})
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.failStatus(w, r, http.StatusMethodNotAllowed, &api.Error{Code: api.ErrorInvalid,
		Message: r.URL.Path + " does not take " + r.Method, Hint: "use " + strings.Join(allowed, " or ")})
}

// write makes a handler of an operation that changes something, or asks
// somebody else: its time is bounded.
func (s *Server) write(fn func(ctx context.Context, r *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.cfg.RequestTimeout)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, s.cfg.MaxBody)
		out, err := fn(ctx, r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.answer(w, r, out)
	})
}

// reader builds an answer from a state.
type reader func(st *api.State, r *http.Request) (any, error)

// read makes a handler of an operation that only reads the mirror; with
// ?watch it answers again whenever the answer changes.
func (s *Server) read(fn reader) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watch, err := flag(r, "watch")
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if watch {
			s.watch(w, r, fn)
			return
		}
		st, err := s.state()
		if err != nil {
			s.fail(w, r, err)
			return
		}
		out, err := fn(st, r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		mark(w.Header(), st)
		s.answer(w, r, out)
	})
}

// flag reads a yes-or-no parameter: absent, empty, 1, 0, true, false.
func flag(r *http.Request, name string) (bool, error) {
	q := r.URL.Query()
	if !q.Has(name) {
		return false, nil
	}
	value := q.Get(name)
	if !slices.Contains([]string{"", "0", "1", "true", "false"}, value) {
		return false, invalid("parameter %s is %q; write 1 or 0", name, value)
	}
	return value != "0" && value != "false", nil
}

// recorder remembers the status for the metrics.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
