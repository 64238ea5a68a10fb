package servertest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"

	"github.com/peerage/peerage/api"
)

// Known is what a stand-in for a real server's speaker knows.
type Known struct {
	Sessions []api.Session `json:"sessions"`
	// Routes are those of the sessions.
	Routes []api.Route `json:"routes"`
	// Cut breaks streams of routes off before the mark of the end; Broken
	// ends them with an error of the speaker's.
	Cut    bool   `json:"cut,omitempty"`
	Broken string `json:"broken,omitempty"`
	// Fault is answered instead of anything, if it is not empty.
	Fault string `json:"fault,omitempty"`
}

// Speaker stands in for the API of a real server.
type Speaker struct {
	HTTP *httptest.Server

	mu    sync.Mutex // guards the fields below
	known Known
	stuck chan struct{} // closed when it answers again
}

// Speak makes a real server alive whose speaker knows something, or changes
// what it knows.
func (s *Site) Speak(name string, known Known) *Speaker {
	s.t.Helper()
	if sp := s.speak[name]; sp != nil {
		sp.mu.Lock()
		defer sp.mu.Unlock()
		sp.known = known
		return sp
	}
	sp := &Speaker{known: known}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/sessions", sp.sessions)
	mux.HandleFunc("GET /v1/sessions/{id}/routes", sp.routes)
	mux.HandleFunc("GET /v1/lookup", sp.lookup)
	sp.HTTP = httptest.NewServer(mux)
	s.t.Cleanup(sp.HTTP.Close)
	s.t.Cleanup(sp.Resume)
	s.speak[name] = sp
	s.JoinAt(api.RoleRealServer, name, sp.HTTP.URL)
	return sp
}

// Hang makes the speaker take questions and answer none, until Resume.
func (sp *Speaker) Hang() {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.stuck = make(chan struct{})
}

// Resume ends Hang.
func (sp *Speaker) Resume() {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.stuck != nil {
		close(sp.stuck)
		sp.stuck = nil
	}
}

// answers waits while the speaker hangs. It is false when there is nothing
// more to answer.
func (sp *Speaker) answers(w http.ResponseWriter, r *http.Request) (Known, bool) {
	sp.mu.Lock()
	known, stuck := sp.known, sp.stuck
	sp.mu.Unlock()
	if stuck != nil {
		select {
		case <-stuck:
		case <-r.Context().Done():
		}
	}
	if known.Fault != "" {
		w.WriteHeader(http.StatusBadGateway)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": known.Fault})
		return known, false
	}
	return known, true
}

func (sp *Speaker) sessions(w http.ResponseWriter, r *http.Request) {
	known, ok := sp.answers(w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	out := []api.Session{}
	for _, one := range known.Sessions {
		fits := func(name, value string) bool { return q.Get(name) == "" || q.Get(name) == value }
		if fits("customer", one.Customer) && fits("pool", one.Pool) && fits("peer", one.Peer.Addr().String()) {
			out = append(out, one)
		}
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (sp *Speaker) routes(w http.ResponseWriter, r *http.Request) {
	known, ok := sp.answers(w, r)
	if !ok {
		return
	}
	e := json.NewEncoder(w)
	for _, one := range known.Routes {
		if one.Session == r.PathValue("id") {
			_ = e.Encode(one)
		}
	}
	switch {
	case known.Cut:
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case known.Broken != "":
		_ = e.Encode(map[string]string{"error": known.Broken})
	default:
		_ = e.Encode(struct{}{})
	}
}

func (sp *Speaker) lookup(w http.ResponseWriter, r *http.Request) {
	known, ok := sp.answers(w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	addr, err := netip.ParseAddr(q.Get("addr"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	best := map[string]api.Route{} // by session
	for _, one := range known.Routes {
		had, found := best[one.Session]
		if one.Prefix.Contains(addr) && (!found || one.Prefix.Bits() > had.Prefix.Bits()) &&
			(q.Get("customer") == "" || q.Get("customer") == one.Customer) && (q.Get("session") == "" || q.Get("session") == one.Session) {
			best[one.Session] = one
		}
	}
	out := []api.Route{}
	for _, id := range slices.Sorted(keys(best)) {
		out = append(out, best[id])
	}
	_ = json.NewEncoder(w).Encode(out)
}
