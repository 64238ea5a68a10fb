package server

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/peerage/peerage/api"
)

// question is what a reader of the fleet asks for.
type question struct {
	customer, pool, server, state string
	peer                          netip.Addr
}

func (s *Server) question(st *api.State, r *http.Request) (q question, err error) {
	v := r.URL.Query()
	q = question{customer: v.Get("customer"), pool: v.Get("pool"), server: v.Get("server"), state: v.Get("state")}
	if text := v.Get("peer"); text != "" {
		if q.peer, err = address("peer", text); err != nil {
			return q, err
		}
	}
	switch {
	case q.state != "" && !slices.Contains(api.SessionStates(), q.state):
		return q, invalid("parameter state is %q; write one of %s", q.state, strings.Join(api.SessionStates(), ", "))
	case q.pool != "" && st.Pools[q.pool] == nil:
		return q, notFound(api.KindPool, q.pool, keys(st.Pools))
	case q.server != "" && !slices.Contains(expected(st), q.server):
		return q, notFound(api.KindRealServer, q.server, expected(st))
	case q.customer != "" && !st.HasCustomer(q.customer):
		return q, notFound(api.KindCustomer, q.customer, keys(st.Customers))
	}
	return q, nil
}

func address(name, text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return a, invalid("parameter %s is %q; write an address such as 192.0.2.1 or 2001:db8::1", name, text)
	}
	return a.Unmap(), nil
}

// values are what the real servers are asked; they know nothing of states.
func (q question) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"customer": q.customer, "pool": q.pool} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.peer.IsValid() {
		v.Set("peer", q.peer.String())
	}
	return v
}

// sessions answers with the sessions of the fleet.
func (s *Server) sessions(ctx context.Context, r *http.Request) (any, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	q, err := s.question(st, r)
	if err != nil {
		return nil, err
	}
	return s.listSessions(ctx, st, q)
}

func (s *Server) listSessions(ctx context.Context, st *api.State, q question) (*api.SessionList, error) {
	out := &api.SessionList{Items: []api.Session{}}
	a, err := s.each(ctx, st, q.server, nodeSessions, q.values(), func(server string, body []byte) (int, error) {
		var list []api.Session
		if err := json.Unmarshal(body, &list); err != nil {
			return 0, fmt.Errorf("the answer is not understood: %w", err)
		}
		for _, one := range list {
			if q.state == "" || one.State == q.state {
				one.Server = server
				out.Items = append(out.Items, one)
			}
		}
		return len(list), nil
	})
	if err != nil {
		return nil, err
	}
	out.Unreachable = a.unreachable
	slices.SortFunc(out.Items, func(x, y api.Session) int {
		return cmp.Or(cmp.Compare(x.ID, y.ID), cmp.Compare(x.Server, y.Server))
	})
	return out, nil
}

// session answers with the sessions of one ID, or of one router. Where there
// is none it is an error, which tells whether somebody did not answer.
func (s *Server) session(ctx context.Context, r *http.Request) (any, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	return s.findSessions(ctx, st, r.PathValue("id"))
}

func (s *Server) findSessions(ctx context.Context, st *api.State, id string) (*api.SessionList, error) {
	peer := id[strings.LastIndexByte(id, ',')+1:]
	addr, err := netip.ParseAddr(peer)
	if err != nil || addr.Zone() != "" {
		return nil, invalid("%q is not a session; write its ID, POOL,VIP,PEER as session list shows, or the router's address", id)
	}
	list, err := s.listSessions(ctx, st, question{peer: addr.Unmap()})
	if err != nil {
		return nil, err
	}
	if strings.Contains(id, ",") {
		list.Items = slices.DeleteFunc(list.Items, func(x api.Session) bool { return x.ID != id })
	}
	switch {
	case len(list.Items) > 0:
		return list, nil
	case len(list.Unreachable) > 0:
		return nil, &api.Error{Code: api.ErrorUnavailable, Object: "Session/" + id,
			Message: fmt.Sprintf("no session %s on the real servers that answered, and %s did not", id, strings.Join(keys(list.Unreachable), ", ")),
			Hint:    "peeragectl session list says why"}
	}
	return nil, &api.Error{Code: api.ErrorNotFound, Object: "Session/" + id, Message: fmt.Sprintf("no real server has a session %s", id),
		Hint: "peeragectl session list shows the IDs"}
}

// lookup answers with the longest match of each session.
func (s *Server) lookup(ctx context.Context, r *http.Request) (any, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	q, err := s.question(st, r)
	if err != nil {
		return nil, err
	}
	out := &api.LookupResult{Items: []api.Route{}}
	if out.Addr, err = address("addr", r.URL.Query().Get("addr")); err != nil {
		return nil, err
	}
	v := q.values()
	v.Set("addr", out.Addr.String())
	session := r.URL.Query().Get("session")
	if strings.Contains(session, ",") {
		v.Set("session", session)
	} else if session != "" {
		if q.peer, err = address("session", session); err != nil {
			return nil, err
		}
	}
	a, err := s.each(ctx, st, q.server, nodeLookup, v, func(server string, body []byte) (int, error) {
		var list []api.Route
		if err := json.Unmarshal(body, &list); err != nil {
			return 0, fmt.Errorf("the answer is not understood: %w", err)
		}
		for _, one := range list {
			if q.peer.IsValid() && !strings.HasSuffix(one.Session, ","+q.peer.String()) || q.pool != "" && one.Pool != q.pool {
				continue
			}
			one.Server = server
			out.Items = append(out.Items, one)
		}
		return len(list), nil
	})
	if err != nil {
		return nil, err
	}
	out.Unreachable = a.unreachable
	slices.SortFunc(out.Items, func(x, y api.Route) int {
		return cmp.Or(cmp.Compare(x.Customer, y.Customer), cmp.Compare(x.Session, y.Session), cmp.Compare(x.Server, y.Server))
	})
	return out, nil
}

// sessionRoutes streams the routes of one session, one JSON line each, from
// the real server that holds it. The last line is {}; or an ErrorBody, when
// the stream broke off.
func (s *Server) sessionRoutes(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	resp, server, err := s.openRoutes(ctx, r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer resp.Body.Close()
	st, done, err := s.open(w)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer done()
	w.Header().Set(api.HeaderServer, server)
	if err := st.copyRoutes(resp.Body); err != nil {
		s.log.Debug("stream of routes ended", "session", r.PathValue("id"), "server", server, "error", err)
		_ = st.write(errorLine(&api.Error{Code: api.ErrorUnavailable, Object: "Session/" + r.PathValue("id"),
			Message: fmt.Sprintf("the routes of %s broke off: %s: %v", r.PathValue("id"), server, err), Hint: "ask again"})) // it ends either way
	}
}

// openRoutes finds the real server that holds the session, and asks it.
func (s *Server) openRoutes(ctx context.Context, id string) (*http.Response, string, error) {
	st, err := s.state()
	if err != nil {
		return nil, "", err
	}
	bounded, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	list, err := s.findSessions(bounded, st, id)
	if err != nil {
		return nil, "", err
	}
	one := holder(list.Items)
	if other := slices.IndexFunc(list.Items, func(x api.Session) bool { return x.ID != one.ID }); other >= 0 {
		return nil, "", &api.Error{Code: api.ErrorInvalid, Object: "Session/" + id,
			Message: fmt.Sprintf("%s has several sessions, such as %s and %s", id, one.ID, list.Items[other].ID), Hint: "write the ID of one"}
	}
	resp, err := s.fleet.open(ctx, st.LiveRealServers[one.Server], nodeSessions+"/"+url.PathEscape(one.ID)+"/routes", nil)
	if err != nil {
		return nil, "", unreachable(one.Server, err)
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16)) // what there is of it says why
		_ = resp.Body.Close()
		return nil, "", unreachable(one.Server, nodeError(resp.Status, body))
	}
	return resp, one.Server, nil
}

func unreachable(server string, err error) *api.Error {
	return &api.Error{Code: api.ErrorUnavailable, Object: "RealServer/" + server, Message: fmt.Sprintf("%s does not answer: %v", server, err),
		Hint: "try again, and look at peeragectl status"}
}

// holder is the session that is up, else the one that was up last.
func holder(list []api.Session) api.Session {
	return slices.MaxFunc(list, func(x, y api.Session) int {
		up := func(s api.Session) int {
			if s.State == "established" {
				return 1
			}
			return 0
		}
		return cmp.Or(up(x)-up(y), x.Since.Compare(y.Since))
	})
}

const (
	// maxRouteLine bounds one route: 64 KiB of attributes, written as text.
	maxRouteLine = 1 << 20
	// flushRoutes is how much is collected before it is sent.
	flushRoutes = 64 << 10
)

// copyRoutes forwards lines up to the mark of the end. Without the mark the
// stream was cut: an error.
func (st *stream) copyRoutes(from io.Reader) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 64<<10), maxRouteLine)
	var pending bytes.Buffer
	for lines.Scan() {
		line := lines.Bytes()
		if bytes.HasPrefix(line, []byte(`{"error"`)) {
			if err := st.write(pending.Bytes()); err != nil {
				return err
			}
			return nodeError("", line)
		}
		pending.Write(line)
		pending.WriteByte('\n')
		end := len(line) <= 2
		if end || pending.Len() > flushRoutes {
			if err := st.write(pending.Bytes()); err != nil {
				return err
			}
			pending.Reset()
		}
		if end {
			return nil
		}
	}
	if err := st.write(pending.Bytes()); err != nil {
		return err
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

func errorLine(e *api.Error) []byte {
	data, err := json.Marshal(api.ErrorBody{Error: e})
	if err != nil {
		return nil // strings alone can be encoded
	}
	return append(data, '\n')
}
