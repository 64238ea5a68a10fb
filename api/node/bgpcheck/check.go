package bgpcheck

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/peerage/peerage/api"
)

// Target is what is checked.
type Target struct {
	// Addr is the speaker's address and port.
	Addr netip.AddrPort
	// Source is the address to connect from; the zero address: any.
	Source netip.Addr
	// LocalAS is the AS number that the speaker must announce; 0: any.
	LocalAS uint32
	// Type says how much must work; empty: bgp.
	Type api.HealthCheckType
}

// Result is what a good check saw.
type Result struct {
	// RTT is how long the check took: until the OPEN for bgp, until the
	// connection for tcp.
	RTT time.Duration
	// PeerAS and RouterID are the speaker's, from its OPEN; zero for tcp.
	PeerAS   uint32
	RouterID netip.Addr
}

// Check connects and reads the speaker's OPEN. It ends with ctx, which must
// have a deadline or is given one.
func Check(ctx context.Context, t Target) (Result, error) { return Result{}, errors.ErrUnsupported }
