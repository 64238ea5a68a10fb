package api

import (
	"slices"
	"time"
)

// Mark says who wants something, since when, why, and until when.
type Mark struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
	// Until ends the intent by itself; zero: it stays until it is taken back.
	Until time.Time `json:"until,omitzero"`
	// AcceptedRisks are the guards that were overridden on purpose. The
	// planner reads them too: only a mark that accepts RiskEmptyPool may leave
	// a pool without a serving member.
	AcceptedRisks []Risk `json:"acceptedRisks,omitempty"`
}

// Accepts tells whether the mark overrides the guard of that name.
func (m *Mark) Accepts(r Risk) bool { return m != nil && slices.Contains(m.AcceptedRisks, r) }

// Active tells whether the mark is in force at now.
func (m *Mark) Active(now time.Time) bool {
	return m != nil && (m.Until.IsZero() || now.Before(m.Until))
}

// ServerIntent is what operators want of one real server right now, whatever
// its configuration says. It survives apply. Verbs write it; nothing else does.
type ServerIntent struct {
	Schema int    `json:"schema"`
	Server string `json:"server"`
	// Depooled takes the server out: weight 0, sessions stay.
	Depooled *Mark `json:"depooled,omitempty"`
	// Weight overrides the nominal weight, 1..8.
	Weight *WeightIntent `json:"weight,omitempty"`
}

// WeightIntent overrides a nominal weight.
type WeightIntent struct {
	Mark
	Value int `json:"value"`
}

// Empty tells whether the intent asks for nothing.
func (i *ServerIntent) Empty() bool { return i == nil || i.Depooled == nil && i.Weight == nil }

// StoreIntent names the store that nodes may trust after it was restored from
// a backup: they hold their last good plan until it names the new cluster.
type StoreIntent struct {
	Schema int `json:"schema"`
	Mark
	// ClusterID is the etcd cluster, in hexadecimal.
	ClusterID string `json:"clusterID"`
	// Revision is the store's revision at the time of acceptance.
	Revision int64 `json:"revision"`
}
