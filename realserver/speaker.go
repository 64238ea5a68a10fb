package realserver

import (
	"context"
	"net/netip"

	"github.com/peerage/peerage/api"
)

// Speaker hosts the BGP sessions. The agent hands over the whole desired state
// and asks how things are; it never owns the process.
type Speaker interface {
	// Set makes the speaker accept what cfg says, and nothing else. It starts
	// a speaker that does not run, touches no session that cfg still allows,
	// and does nothing when cfg is what the speaker has already. On an error
	// the speaker goes on with what it had.
	Set(ctx context.Context, cfg SpeakerConfig) (changed bool, err error)
	// Status asks the speaker. An error means that it does not answer.
	Status(ctx context.Context) (SpeakerStatus, error)
	// Close lets go of the speaker; it changes nothing.
	Close() error
}

// SpeakerConfig is everything that a speaker must know.
type SpeakerConfig struct {
	// RouterID is the server's own, so that one can tell from a session which
	// server holds it.
	RouterID netip.Addr
	// Own are the server's own addresses: health checks connect to them.
	Own []netip.Addr
	// Probes are the sources of health checks. They get an OPEN on every
	// service's port at Own, those of Own at the VIPs too, and never a session.
	Probes []netip.Addr
	// Services are sorted by pool.
	Services []Service
	// Customers are those of the services' pools, sorted by name, with their
	// defaults. The neighbours that stand in a service are beside them.
	Customers []*api.Customer
	// Routes are what operators originate; those that expired are not among them.
	Routes []api.RouteIntent
	// Additive forbids to take anything away: what the agent knows may be
	// older than what the speaker has. A speaker that has more goes on with
	// all it has, and Set says so in an error.
	Additive bool
}

// Service is one pool as a speaker sees it.
type Service struct {
	Pool string
	VIPs []netip.Addr
	Port uint16
	api.Speaker
}

// SpeakerStatus is what a speaker says of itself.
type SpeakerStatus struct {
	// Engine names the program and its version, such as "bird 2.0.12".
	Engine string
	// Pools count customers' sessions by pool; health checks do not count.
	Pools map[string]SessionCount
}

// SessionCount counts sessions in any state, and those that are up.
type SessionCount struct {
	Sessions, Established int
}
