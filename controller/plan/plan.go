package plan

import (
	"time"

	"github.com/peerage/peerage/api"
)

// Inputs is all that planning depends on. Nothing in it is changed.
type Inputs struct {
	// State is configuration, intent, liveness and measurements as of one
	// revision. The caller answers for it being believable.
	State *api.State
	// Plans are the newest plans of every pool, which may be ahead of
	// State.Plans by what the leader has just written. Nil: State.Plans.
	Plans map[string]*api.Plan
	// Now decides which intents are in force, and dates what changes.
	Now time.Time
}

// Result is what the site should run.
type Result struct {
	// Pools has an entry for every pool that is configured or has a plan,
	// sorted by name.
	Pools []PoolResult
	// Wake is when the next intent ends by itself; zero: never.
	Wake time.Time
}

// PoolResult is the outcome for one pool.
type PoolResult struct {
	Pool string
	// Before is the plan that the result follows; nil for the first.
	Before *api.Plan
	// Plan is the plan to run. It is nil when there is none to run: Delete
	// says that it goes, Blocked that none could be made.
	Plan *api.Plan
	// Write tells whether Plan differs from Before, if only in Held.
	Write bool
	// Delete tells that the pool was taken out of the configuration.
	Delete bool
	// Blocked is why the plan in the store was left alone entirely.
	Blocked string
}

// Compute plans every pool of the site.
func Compute(in Inputs) Result { return Result{} }

// Preview says what a change from before to after would do, and which guards
// it would break. It plans both afresh, so that what is only late (an intent
// that no leader has acted on yet) is not blamed on the change.
func Preview(before, after *api.State, now time.Time) api.Preview { return api.Preview{} }

// Change is one difference between two plans in words, for the audit trail.
type Change struct {
	// Verb is plan, health, depool, pool, weight, hold, release, withdraw or announce.
	Verb string
	// Object is what changed, such as RealServer/rs-1.
	Object  string
	Reason  string
	Message string
}

// Changes lists what differs, in a fixed order: the plan, servers in canonical
// order, announcements, holds. Before may be nil.
func Changes(before, after *api.Plan) []Change { return nil }
