package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/peerage/peerage/api"
)

const (
	// lineTimeout is how long a reader may take for one line before the
	// stream is cut.
	lineTimeout = 15 * time.Second
	// pace is the shortest time between two values of one stream.
	pace = 100 * time.Millisecond
)

// stream writes lines to one reader.
type stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// open starts a stream, if there is room for one more. The caller calls done
// at its end.
func (s *Server) open(w http.ResponseWriter) (st *stream, done func(), err error) {
	select {
	case s.watches <- struct{}{}:
	default:
		return nil, nil, &api.Error{Code: api.ErrorOverloaded, Message: "this controller serves " + strconv.Itoa(cap(s.watches)) + " watch streams already",
			Hint: "ask another controller, or end a watch"}
	}
	s.metrics.watches.Inc()
	st = &stream{w, http.NewResponseController(w)}
	// A read deadline that passes would end the request.
	_ = st.rc.SetReadDeadline(time.Time{}) // a connection without deadlines is a test's
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // proxies hold lines back otherwise
	return st, func() { s.metrics.watches.Dec(); <-s.watches }, nil
}

func (st *stream) send(line api.StreamLine) error {
	data, err := json.Marshal(line)
	if err != nil {
		return err
	}
	return st.write(append(data, '\n'))
}

// write sends what is there at once, if the reader takes it in time.
func (st *stream) write(data []byte) error {
	_ = st.rc.SetWriteDeadline(time.Now().Add(lineTimeout))
	if _, err := st.w.Write(data); err != nil {
		return err
	}
	return st.rc.Flush()
}

// watch answers with the value of fn now and whenever it changes.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, fn reader) {
	state, err := s.state()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if _, err := fn(state, r); err != nil {
		s.fail(w, r, err)
		return
	}
	st, done, err := s.open(w)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer done()
	changed, cancel := s.cfg.Mirror.Subscribe()
	defer cancel()
	beat := time.NewTicker(s.cfg.Heartbeat)
	defer beat.Stop()
	var last []byte
	for {
		line, key, err := s.value(fn, r)
		if err != nil {
			_ = st.send(api.StreamLine{Type: api.StreamError, Error: s.explain(err)}) // it ends either way
			return
		}
		if bytes.Equal(key, last) {
			line = api.StreamLine{Type: api.StreamHeartbeat}
		}
		last = key
		if err := st.send(line); err != nil {
			s.log.Debug("stream ended", "path", r.URL.Path, "error", err)
			return
		}
		// Time passes for the status too: an intent may have ended by itself.
		if !s.next(r.Context(), changed, beat.C, func() bool {
			_, key, err := s.value(fn, r)
			return err != nil || !bytes.Equal(key, last)
		}) {
			return
		}
	}
}

// next waits until there is something to send: a change that differs, or a
// heartbeat that is due. It is false when the stream is over.
func (s *Server) next(ctx context.Context, changed <-chan struct{}, beat <-chan time.Time, differs func() bool) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pace):
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-beat:
			return true
		case <-changed:
			if differs() {
				return true
			}
		}
	}
}

// value is one line, and what of it has to differ to be worth sending.
func (s *Server) value(fn reader, r *http.Request) (line api.StreamLine, key []byte, err error) {
	state, err := s.state()
	if err != nil {
		return line, nil, err
	}
	v, err := fn(state, r)
	if err != nil {
		return line, nil, err
	}
	data, err := json.Marshal(v)
	if err != nil {
		return line, nil, err
	}
	key, err = essence(v, data)
	return api.StreamLine{Type: api.StreamValue, Value: data}, key, err
}

// essence leaves out what differs at every look.
func essence(v any, data []byte) ([]byte, error) {
	switch v := v.(type) {
	case *api.Status:
		bare := *v
		bare.At, bare.Store.Revision = time.Time{}, 0
		return json.Marshal(&bare)
	case api.List[json.RawMessage]:
		v.Revision = 0
		return json.Marshal(v)
	case api.List[api.RouteIntent]:
		v.Revision = 0
		return json.Marshal(v)
	case api.List[*api.Plan]:
		v.Revision = 0
		return json.Marshal(v)
	}
	return data, nil
}

// events answers with the audit trail, or follows it.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	watch, err := flag(r, "watch")
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if watch {
		s.watchEvents(w, r)
		return
	}
	limit, err := limit(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.RequestTimeout)
	defer cancel()
	list, err := s.cfg.Store.Events(ctx, limit)
	if err != nil {
		s.fail(w, r, unavailable("the events cannot be read", err))
		return
	}
	if list == nil {
		list = []api.Event{}
	}
	st := s.cfg.Mirror.State()
	s.answer(w, r, api.List[api.Event]{Revision: st.Revision, Stale: staleReason(st), Items: list})
}

const defaultEvents, maxEvents = 100, 2000

func limit(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultEvents, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxEvents {
		return 0, invalid("parameter limit is %q; write 1..%d", text, maxEvents)
	}
	return n, nil
}

// watchEvents follows the audit trail after the event named by from.
func (s *Server) watchEvents(w http.ResponseWriter, r *http.Request) {
	st, done, err := s.open(w)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer done()
	ctx, cancel := context.WithCancel(r.Context())
	lines := make(chan api.StreamLine)
	ended := make(chan error, 1)
	go func() {
		ended <- s.cfg.Store.WatchEvents(ctx, r.URL.Query().Get("from"), func(e api.Event) error {
			data, err := json.Marshal(e)
			if err != nil {
				return err
			}
			select {
			case lines <- api.StreamLine{Type: api.StreamValue, ID: e.ID, Value: data}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	running, err := s.forward(ctx, st, lines, ended)
	cancel()
	if running {
		if cause := <-ended; cause != nil {
			s.log.Debug("stream ended", "path", r.URL.Path, "error", cause)
		}
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		_ = st.send(api.StreamLine{Type: api.StreamError, Error: unavailable("the events cannot be followed", err)}) // it ends either way
	}
}

// forward sends lines and heartbeats until the stream or its source ends;
// running tells that the source still has to.
func (s *Server) forward(ctx context.Context, st *stream, lines <-chan api.StreamLine, ended <-chan error) (running bool, err error) {
	beat := time.NewTicker(s.cfg.Heartbeat)
	defer beat.Stop()
	line := api.StreamLine{Type: api.StreamHeartbeat}
	for {
		if st.send(line) != nil {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return true, nil
		case err := <-ended:
			return false, err
		case <-beat.C:
			line = api.StreamLine{Type: api.StreamHeartbeat}
		case line = <-lines:
		}
	}
}
