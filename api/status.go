package api

import (
	"net/netip"
	"time"
)

// Status is the whole site at a glance: what is wanted, what runs, and why
// they differ.
type Status struct {
	At    time.Time   `json:"at"`
	Store StoreStatus `json:"store"`
	// Leader is the elected controller, or empty.
	Leader        string             `json:"leader"`
	Controllers   []NodeStatus       `json:"controllers"`
	LoadBalancers []LBStatus         `json:"loadBalancers"`
	RealServers   []RealServerStatus `json:"realServers"`
	Pools         []PoolStatus       `json:"pools"`
	// Warnings are everything that is not as it should be, worst first.
	Warnings []StatusWarning `json:"warnings"`
}

// StoreStatus says whether the rest of a status may be believed.
type StoreStatus struct {
	// ClusterID is in hexadecimal.
	ClusterID string `json:"clusterID"`
	Revision  int64  `json:"revision"`
	Synced    bool   `json:"synced"`
	FromCache bool   `json:"fromCache,omitempty"`
	// Stale says why the status may be behind, since StaleSince.
	Stale      string    `json:"stale,omitempty"`
	StaleSince time.Time `json:"staleSince,omitzero"`
	// Held says why the store is not believed.
	Held string `json:"held,omitempty"`
	// Alarms are those that etcd has raised, such as NOSPACE: it refuses writes.
	Alarms []string `json:"alarms,omitempty"`
	// Bad are the keys whose newest value was refused.
	Bad []BadKey `json:"bad,omitempty"`
}

// BadKey is a key of the store whose value cannot be used.
type BadKey struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

// NodeStatus says whether a node is there.
type NodeStatus struct {
	Name      string       `json:"name"`
	Live      bool         `json:"live"`
	Version   string       `json:"version,omitempty"`
	StartedAt time.Time    `json:"startedAt,omitzero"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// API is where a controller serves, as a URL.
	API string `json:"api,omitempty"`
}

// LBStatus is one load balancer and its sessions with the fabric.
type LBStatus struct {
	NodeStatus
	// Peers are sorted by name.
	Peers []PeerStatus `json:"peers"`
}

// PeerStatus is one session with the fabric.
type PeerStatus struct {
	Name string `json:"name"`
	// State is the BGP state; empty while nothing reports it.
	State string `json:"state,omitempty"`
	// BFD is Up, Down, Init, AdminDown, or empty when not used.
	BFD string `json:"bfd,omitempty"`
}

// Up tells whether the session carries announcements.
func (p PeerStatus) Up() bool { return p.State == "Established" }

// RealServerStatus is one real server and what operators want of it.
type RealServerStatus struct {
	NodeStatus
	// Configured is the weight of the configuration.
	Configured int `json:"configured"`
	// Depooled and Weight are the intents in force.
	Depooled *Mark         `json:"depooled,omitempty"`
	Weight   *WeightIntent `json:"weight,omitempty"`
	// Pools are those that it is a member of, sorted.
	Pools []string `json:"pools"`
}

// PoolStatus is one pool: its plan and what every node makes of it.
type PoolStatus struct {
	Name string `json:"name"`
	// Generation and Fingerprint are of the plan; 0 and empty without one.
	Generation  int64     `json:"generation"`
	Fingerprint string    `json:"fingerprint,omitempty"`
	Port        uint16    `json:"port"`
	Scheduler   Scheduler `json:"scheduler"`
	// Held says that the plan is older than what was asked for.
	Held *Held `json:"held,omitempty"`
	// Agree tells whether every live LB runs the plan's table.
	Agree bool `json:"agree"`
	// Serving and Members count real servers; Sessions those established.
	Serving  int            `json:"serving"`
	Members  int            `json:"members"`
	Sessions int            `json:"sessions"`
	LBs      []PoolLB       `json:"lbs"`
	VIPs     []VIPStatus    `json:"vips"`
	Servers  []MemberStatus `json:"servers"`
}

// PoolLB is what one LB makes of a pool's plan.
type PoolLB struct {
	LB   string `json:"lb"`
	Live bool   `json:"live"`
	// Reported is false until the LB has written what it runs.
	Reported    bool      `json:"reported"`
	Generation  int64     `json:"generation"`
	Fingerprint string    `json:"fingerprint,omitempty"`
	At          time.Time `json:"at,omitzero"`
	// Agrees tells whether generation and table are those of the plan.
	Agrees bool     `json:"agrees"`
	Warm   bool     `json:"warm"`
	Took   Duration `json:"took,omitempty"`
	Drift  int64    `json:"drift"`
	Error  string   `json:"error,omitempty"`
}

// VIPStatus is one address and who announces it.
type VIPStatus struct {
	VIP netip.Addr `json:"vip"`
	// Announced counts the LBs that announce it.
	Announced int     `json:"announced"`
	LBs       []VIPLB `json:"lbs"`
}

// VIPLB is one address on one LB.
type VIPLB struct {
	LB string `json:"lb"`
	// Wanted is the plan's decision, Announced what BIRD exports.
	Wanted    bool   `json:"wanted"`
	Announced bool   `json:"announced"`
	MED       uint32 `json:"med"`
	Reason    string `json:"reason,omitempty"`
	// BFD is "Up" when all sessions that use it are, otherwise the state of
	// the first that is not; empty when none uses it.
	BFD string `json:"bfd,omitempty"`
}

// MemberStatus is one real server in one pool.
type MemberStatus struct {
	Server string `json:"server"`
	Live   bool   `json:"live"`
	// State is empty for a member that the plan does not have.
	State   ServerState `json:"state,omitempty"`
	Nominal int         `json:"nominal"`
	Weight  int         `json:"weight"`
	Since   time.Time   `json:"since,omitzero"`
	// Reason says why the server is not serving.
	Reason string `json:"reason,omitempty"`
	// Speaker is the server's own observation; nil without one.
	Speaker *SpeakerHealth `json:"speaker,omitempty"`
	// Paths are sorted by LB.
	Paths []PathStatus `json:"paths"`
}

// PathStatus is what one LB sees of a real server.
type PathStatus struct {
	LB string `json:"lb"`
	Path
}

// StatusWarning is one thing that is not as it should be.
type StatusWarning struct {
	Code     WarningCode `json:"code"`
	Severity Severity    `json:"severity"`
	// Object is what it is about, such as Pool/edge.
	Object  string `json:"object,omitempty"`
	Message string `json:"message"`
}

// Severity orders warnings.
type Severity string

// The severities: an error means that something does not work, a warning that
// it works with less than it should, a notice that somebody wanted it so.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityNotice  Severity = "notice"
)

// WarningCode names a warning for programs.
type WarningCode string

// The warnings.
const (
	WarnStoreStale  WarningCode = "store-stale"
	WarnStoreHeld   WarningCode = "store-held"
	WarnStoreAlarm  WarningCode = "store-alarm"
	WarnBadKey      WarningCode = "bad-key"
	WarnNoLeader    WarningCode = "no-leader"
	WarnNoPlan      WarningCode = "no-plan"
	WarnPlanHeld    WarningCode = "plan-held"
	WarnLBDown      WarningCode = "lb-down"
	WarnLBBehind    WarningCode = "lb-behind"
	WarnLBDiffers   WarningCode = "lb-differs"
	WarnLBError     WarningCode = "lb-error"
	WarnLBNotWarm   WarningCode = "lb-not-warm"
	WarnVIPDown     WarningCode = "vip-not-announced"
	WarnPeerDown    WarningCode = "fabric-session-down"
	WarnBFDDown     WarningCode = "bfd-down"
	WarnServerDown  WarningCode = "server-down"
	WarnServerSick  WarningCode = "server-not-serving"
	WarnServerDoubt WarningCode = "server-suspect"
	WarnPathDown    WarningCode = "path-down"
	WarnServerOut   WarningCode = "server-depooled"
	WarnWeight      WarningCode = "weight-overridden"
)
