package control

import (
	"net/netip"
	"time"

	"github.com/peerage/peerage/api"
)

// Schema is the version of the documents here.
const Schema = 1

// The paths of the socket.
const (
	PathConfig   = "/v1/config"   // PUT Config -> ConfigResult; GET -> Config
	PathStatus   = "/v1/status"   // GET -> Status
	PathSessions = "/v1/sessions" // GET ?customer=&pool=&peer= -> []Session
	PathSession  = "/v1/sessions/{id}"
	PathReset    = "/v1/sessions/{id}/reset"  // POST ?text= -> 204; Cease, administrative reset
	PathRoutes   = "/v1/sessions/{id}/routes" // GET -> a stream of Route, one JSON line each
	PathLookup   = "/v1/lookup"               // GET ?addr=&customer=&session= -> []Route
	PathMetrics  = "/metrics"
	PathHealth   = "/healthz"
)

// Config is everything that a speaker must know.
type Config struct {
	Schema int `json:"schema"`
	// RouterID is the BGP identifier, which is the cluster id too (RFC 4456
	// section 7).
	RouterID netip.Addr `json:"routerID"`
	// Own are the machine's own addresses, where health checks connect to on
	// the port of every service.
	Own []netip.Addr `json:"own,omitempty"`
	// Probes are the sources of health checks: they get an OPEN and never a
	// session.
	Probes []netip.Addr `json:"probes,omitempty"`
	// Services are sorted by pool.
	Services []Service `json:"services"`
	// Customers are sorted by name.
	Customers []Customer `json:"customers"`
	// Routes are what operators originate.
	Routes []api.RouteIntent `json:"routes,omitempty"`
	// Additive forbids to end any session: who wrote this may know less than
	// the speaker.
	Additive bool `json:"additive,omitempty"`
}

// Service is one pool.
type Service struct {
	Pool     string       `json:"pool"`
	VIPs     []netip.Addr `json:"vips"`
	Port     uint16       `json:"port"`
	LocalAS  uint32       `json:"localAS"`
	HoldTime api.Duration `json:"holdTime"`
}

// Customer is an api.Customer with its defaults filled in. A neighbour that
// stands in a pool is a customer too, with the name POOL.NEIGHBOR.
type Customer struct {
	Name string `json:"name"`
	api.CustomerSpec
}

// ConfigResult is the answer to a Config. Problems name neighbours that could
// not be configured, such as one whose key is missing: a new one is left out,
// one that has sessions keeps what it had.
type ConfigResult struct {
	Changed  bool     `json:"changed"`
	Problems []string `json:"problems,omitempty"`
}

// Status is what the speaker says of itself.
type Status struct {
	Schema  int    `json:"schema"`
	Version string `json:"version"`
	PID     int    `json:"pid"`
	// StartedAt is when the process started.
	StartedAt time.Time `json:"startedAt"`
	// Configured tells whether it was ever told what to do.
	Configured bool `json:"configured"`
	Shards     int  `json:"shards"`
	Workers    int  `json:"workers"`
	// Pools count customers' sessions; health checks do not count.
	Pools map[string]PoolCount `json:"pools"`
	// Routes are those held, of all sessions.
	Routes int64 `json:"routes"`
}

// PoolCount counts sessions in any state, and those that are up.
type PoolCount struct {
	Sessions    int `json:"sessions"`
	Established int `json:"established"`
}
