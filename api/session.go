package api

import (
	"net/netip"
	"time"
)

// Session is one session as it is now, or as it ended last.
type Session struct {
	// ID is of the form POOL,VIP,PEER: the same on every real server and after
	// every reconnect.
	ID string `json:"id"`
	// Server is the real server that tells of it; it does not know its own
	// name: who asks several fills it in.
	Server   string         `json:"server,omitempty"`
	Pool     string         `json:"pool"`
	Customer string         `json:"customer"`
	VIP      netip.AddrPort `json:"vip"`
	Peer     netip.AddrPort `json:"peer"`
	// State is one of the states of RFC 4271 section 8.2.2 in lower case:
	// idle, connect (never), active (never), opensent, openconfirm, established.
	State string `json:"state"`
	// Since is when the state began.
	Since    time.Time  `json:"since"`
	AS       uint32     `json:"as,omitempty"`
	RouterID netip.Addr `json:"routerID,omitzero"`
	MD5      bool       `json:"md5"`
	// HoldTime is the negotiated one.
	HoldTime Duration `json:"holdTime"`
	// Capabilities are those that both sides offered.
	Capabilities []string `json:"capabilities,omitempty"`
	Families     []string `json:"families,omitempty"`
	// Received and Sent count since the session began.
	Received MessageCount `json:"received"`
	Sent     MessageCount `json:"sent"`
	// Routes are those held of the session, by family; Dropped those beyond
	// the limit that were not taken.
	Routes  map[string]int64 `json:"routes,omitempty"`
	Dropped int64            `json:"dropped,omitempty"`
	// Treated counts UPDATEs that RFC 7606 had treated as withdrawn, or with
	// an attribute discarded.
	Treated int64 `json:"treated,omitempty"`
	// Flaps count the times the session ended since the speaker started.
	Flaps int64 `json:"flaps"`
	// LastError is why it ended last, and LastErrorAt when.
	LastError   string    `json:"lastError,omitempty"`
	LastErrorAt time.Time `json:"lastErrorAt,omitzero"`
}

// MessageCount counts messages of one direction.
type MessageCount struct {
	Updates       int64 `json:"updates"`
	Keepalives    int64 `json:"keepalives"`
	Refreshes     int64 `json:"refreshes"`
	Notifications int64 `json:"notifications"`
	Bytes         int64 `json:"bytes"`
}

// Route is one route that a session announced.
type Route struct {
	// Server is as in Session.
	Server   string       `json:"server,omitempty"`
	Session  string       `json:"session"`
	Customer string       `json:"customer"`
	Pool     string       `json:"pool"`
	Prefix   netip.Prefix `json:"prefix"`
	NextHop  netip.Addr   `json:"nextHop"`
	// LinkLocal is the second next hop of RFC 2545 section 3.
	LinkLocal netip.Addr `json:"linkLocal,omitzero"`
	Origin    string     `json:"origin"`
	// ASPath is as customary: sequences as numbers, sets in braces,
	// confederations in parentheses.
	ASPath              string   `json:"asPath"`
	MED                 *uint32  `json:"med,omitempty"`
	LocalPref           *uint32  `json:"localPref,omitempty"`
	AtomicAggregate     bool     `json:"atomicAggregate,omitempty"`
	Aggregator          string   `json:"aggregator,omitempty"`
	Communities         []string `json:"communities,omitempty"`
	ExtendedCommunities []string `json:"extendedCommunities,omitempty"`
	LargeCommunities    []string `json:"largeCommunities,omitempty"`
	OriginatorID        string   `json:"originatorID,omitempty"`
	ClusterList         []string `json:"clusterList,omitempty"`
	// Unknown are attributes kept without being understood, "TYPE:FLAGS:HEX".
	Unknown []string `json:"unknown,omitempty"`
	// Best tells, in mode reflect, whether it is the group's best.
	Best bool `json:"best,omitempty"`
}

// SessionStates lists the states of a session.
func SessionStates() []string {
	return []string{"idle", "connect", "active", "opensent", "openconfirm", "established"}
}

// SessionList is what the real servers tell of their sessions.
type SessionList struct {
	// Items are sorted by ID, then by real server. After a session moved, the
	// real server that it left still tells how it ended there.
	Items []Session `json:"items"`
	// Unreachable are the real servers that did not answer, with the reason:
	// what they hold is not in Items.
	Unreachable map[string]string `json:"unreachable,omitempty"`
}

// LookupResult are the routes for one address: the longest match of each
// session.
type LookupResult struct {
	Addr netip.Addr `json:"addr"`
	// Items are sorted by customer, session and real server.
	Items []Route `json:"items"`
	// Unreachable is as in SessionList.
	Unreachable map[string]string `json:"unreachable,omitempty"`
}
