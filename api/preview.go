package api

import (
	"maps"
	"slices"
)

// Preview is what a change would do, computed before it is made.
type Preview struct {
	// Pools are the pools whose plan would change, sorted by name.
	Pools []PoolPreview `json:"pools"`
	// Customers are those whose sessions end, sorted by name.
	Customers []CustomerEffect `json:"customers,omitempty"`
	// Refusals are the guards that the change would break.
	Refusals []Refusal `json:"refusals,omitempty"`
}

// PoolPreview is the plan of one pool before and after a change.
type PoolPreview struct {
	Pool   string `json:"pool"`
	Before *Plan  `json:"before,omitempty"`
	After  *Plan  `json:"after,omitempty"`
}

// Refusal says which guard refuses a change and what overrides it.
type Refusal struct {
	// Pool is empty where the guard is not a pool's.
	Pool string `json:"pool"`
	// Risk is the name to pass as --accept-risk; it is the guard's name too.
	Risk Risk `json:"risk"`
	// Message says what would break, with numbers.
	Message string `json:"message"`
}

// Risk names a guard and what an operator accepts by overriding it.
type Risk string

// The risks.
const (
	RiskBelowMinHealthy Risk = "below-min-healthy"
	RiskOverMaxDepooled Risk = "over-max-depooled"
	RiskOverMaxShrink   Risk = "over-max-shrink"
	RiskEmptyPool       Risk = "empty-pool"
	RiskLBsDisagree     Risk = "lbs-disagree"
	RiskRestoredStore   Risk = "restored-store"
	RiskManyCustomers   Risk = "many-customers"
	RiskAllCustomers    Risk = "all-customers"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
