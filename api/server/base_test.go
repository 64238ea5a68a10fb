package server

import (
	"testing"

	"github.com/peerage/peerage/api"
)

// TestKeep looks at what a write is judged by when a value cannot be decoded.
func TestKeep(t *testing.T) {
	known := &api.State{
		Plans:         map[string]*api.Plan{"edge": {Pool: "edge"}},
		Intents:       map[string]*api.ServerIntent{"rs-1": {Server: "rs-1"}},
		Pools:         map[string]*api.Pool{"edge": {}},
		LoadBalancers: map[string]*api.LoadBalancer{"lb-1": {}},
		RealServers:   map[string]*api.RealServer{"rs-1": {}},
		Applied:       map[string]map[string]*api.Applied{"edge": {"lb-1": {LB: "lb-1"}}},
	}
	for _, c := range []struct {
		key  string
		ok   bool
		kept func(s *api.State) bool
	}{
		{"/peerage/v1/plan/edge", true, func(s *api.State) bool { return s.Plans["edge"] != nil }},
		{"/peerage/v1/plan/other", false, nil},
		{"/peerage/v1/intent/realservers/rs-1", true, func(s *api.State) bool { return s.Intents["rs-1"] != nil }},
		{"/peerage/v1/intent/realservers/rs-2", false, nil},
		{"/peerage/v1/config/pools/edge", true, func(s *api.State) bool { return s.Pools["edge"] != nil }},
		{"/peerage/v1/config/pools/new", true, nil},
		{"/peerage/v1/config/lbs/lb-1", true, func(s *api.State) bool { return s.LoadBalancers["lb-1"] != nil }},
		{"/peerage/v1/config/realservers/rs-1", true, func(s *api.State) bool { return s.RealServers["rs-1"] != nil }},
		{"/peerage/v1/applied/edge/lb-1", true, func(s *api.State) bool { return s.Applied["edge"]["lb-1"] != nil }},
		{"/peerage/v1/applied/edge/lb-2", true, nil},
		{"/peerage/v1/applied/plan/lb-1", true, nil},
		{"/peerage/v1/observed/lbs/lb-1", true, nil},
		{"x", true, nil},
	} {
		t.Run(c.key, func(t *testing.T) {
			s := newOverlay(&api.State{}).State
			s.Plans, s.Applied = map[string]*api.Plan{}, map[string]map[string]*api.Applied{}
			if ok := keep(s, known, c.key); ok != c.ok {
				t.Errorf("ok %t", ok)
			}
			if c.kept != nil && !c.kept(s) {
				t.Errorf("the last good value is not taken: %+v", s)
			}
		})
	}
}
