package bird

import (
	"net/netip"

	"github.com/peerage/peerage/api"
)

// Config is the whole desired state of the speaker.
type Config struct {
	// Addresses are the LB's own: sessions are opened from them.
	Addresses []netip.Addr
	// Fabric says which routers hear of the VIPs.
	Fabric api.Fabric
	// Routes are the VIPs to announce, with their MED.
	Routes map[netip.Addr]uint32
}

// State is what BIRD was seen to hold.
type State struct {
	// Routes are the VIPs in BIRD's table, with their MED. They are announced
	// to every peer that is up.
	Routes map[netip.Addr]uint32
	// Exported are the VIPs that at least one peer was told of.
	Exported map[netip.Addr]bool
	// Peers are the fabric sessions by their configured name.
	Peers map[string]api.FabricState
}
