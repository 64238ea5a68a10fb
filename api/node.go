package api

import (
	"net/netip"
	"time"
)

// Schema is the version of every JSON value that nodes and the controller
// write. A reader refuses a higher one and keeps what it had.
const Schema = 1

// Role is what a node is.
type Role string

// The roles; each is a key prefix under live/.
const (
	RoleLB         Role = "lbs"
	RoleRealServer Role = "realservers"
	RoleController Role = "controllers"
)

// Live says that a node is there. It hangs on the node's lease.
type Live struct {
	Schema    int          `json:"schema"`
	Name      string       `json:"name"`
	Role      Role         `json:"role"`
	Version   string       `json:"version"`
	BootID    string       `json:"bootID"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// API is where a controller serves the HTTP API, or a real server what its
	// speaker tells, as a URL.
	API string `json:"api,omitempty"`
	// StartedAt is when the process started.
	StartedAt time.Time `json:"startedAt"`
	// Capabilities tell what the node can do, such as "bird", "speaker".
	Capabilities []string `json:"capabilities,omitempty"`
}

// PathObservation is what one LB sees of every real server.
type PathObservation struct {
	Schema int       `json:"schema"`
	LB     string    `json:"lb"`
	At     time.Time `json:"at"`
	// Paths are keyed by pool, then by real server.
	Paths map[string]map[string]Path `json:"paths"`
}

// Path is one LB's view of one real server of a pool.
type Path struct {
	OK bool `json:"ok"`
	// Since is when OK last changed.
	Since time.Time `json:"since"`
	// Reason says why it is not OK.
	Reason string `json:"reason,omitempty"`
	// RTT is how long the last good probe took.
	RTT Duration `json:"rtt,omitempty"`
}

// ServerObservation is what a real server says of itself.
type ServerObservation struct {
	Schema int       `json:"schema"`
	Server string    `json:"server"`
	At     time.Time `json:"at"`
	// Pools are keyed by pool.
	Pools map[string]SpeakerHealth `json:"pools"`
}

// SpeakerHealth is the state of the speaker of one pool on one real server.
type SpeakerHealth struct {
	OK     bool      `json:"ok"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
	// Engine is what hosts the sessions, such as "bird 2.0.12".
	Engine string `json:"engine,omitempty"`
	// Sessions counts sessions in any state, Established those that are up.
	Sessions    int `json:"sessions"`
	Established int `json:"established"`
	// Generation is the plan's generation that the server has applied.
	Generation int64 `json:"generation"`
}

// Applied is what one LB made of one plan.
type Applied struct {
	Schema int       `json:"schema"`
	Pool   string    `json:"pool"`
	LB     string    `json:"lb"`
	At     time.Time `json:"at"`
	// Generation is the plan's generation that the LB runs.
	Generation int64 `json:"generation"`
	// Fingerprint is of the kernel's table as dumped; see Fingerprint.
	Fingerprint string `json:"fingerprint"`
	// Took is how long the last change took, from its arrival to the dump.
	Took Duration `json:"took,omitempty"`
	// Drift counts differences that full rounds found and repaired.
	Drift int64 `json:"drift"`
	// Error is why the plan could not be applied in full.
	Error string `json:"error,omitempty"`
	// Warm tells whether the connection table may be relied on.
	Warm bool `json:"warm"`
	// VIPs are keyed by address.
	VIPs map[string]Announced `json:"vips"`
	// Peers are the fabric sessions, by name.
	Peers map[string]FabricState `json:"peers,omitempty"`
	// Servers hold the kernel's counters by real server.
	Servers map[string]ServerCounters `json:"servers,omitempty"`
}

// Announced is the state of one VIP on one LB.
type Announced struct {
	// Announced is read back from BIRD: the route is exported to a peer.
	Announced bool   `json:"announced"`
	MED       uint32 `json:"med,omitempty"`
	// Reason says why the VIP is not announced.
	Reason string `json:"reason,omitempty"`
}

// FabricState is the state of one fabric session as BIRD tells it.
type FabricState struct {
	// State is the BGP state, such as Established.
	State string `json:"state"`
	// BFD is Up, Down, Init, AdminDown, or empty when not used.
	BFD string `json:"bfd,omitempty"`
}

// ServerCounters are IPVS statistics of one real server over all VIPs of the
// pool. Connection counts of an LB in direct return are an estimate: it sees
// one direction only.
type ServerCounters struct {
	ActiveConns   uint64 `json:"activeConns"`
	InactiveConns uint64 `json:"inactiveConns"`
	Connections   uint64 `json:"connections"`
	InPackets     uint64 `json:"inPackets"`
	InBytes       uint64 `json:"inBytes"`
}

// Event is one line of the audit trail.
type Event struct {
	Schema int       `json:"schema"`
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	// By is the operator, or the node that saw it.
	By string `json:"by"`
	// Verb is what was done: apply, depool, pool, weight, health, hold, elected…
	Verb string `json:"verb"`
	// Object is what it was done to, such as RealServer/rs-1.
	Object string `json:"object"`
	Reason string `json:"reason,omitempty"`
	// Message says what changed, in one sentence.
	Message string `json:"message"`
}
