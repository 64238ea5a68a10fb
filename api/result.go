package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Risks lists every risk that an operator may accept.
func Risks() []Risk {
	return []Risk{RiskBelowMinHealthy, RiskOverMaxDepooled, RiskOverMaxShrink, RiskEmptyPool, RiskLBsDisagree, RiskRestoredStore, RiskManyCustomers, RiskAllCustomers}
}

// Known tells whether a guard of that name exists.
func (r Risk) Known() bool { return slices.Contains(Risks(), r) }

// Action says what apply or delete did to one object.
type Action string

// The actions.
const (
	ActionCreated   Action = "created"
	ActionChanged   Action = "changed"
	ActionUnchanged Action = "unchanged"
	ActionDeleted   Action = "deleted"
)

// ApplyResult is the answer of apply and delete. With DryRun it says what
// would have been done.
type ApplyResult struct {
	DryRun  bool `json:"dryRun,omitempty"`
	Changed bool `json:"changed"`
	// Revision is the store's, after the write; 0 without one.
	Revision int64 `json:"revision,omitempty"`
	// Before and After are the objects that changed, in full: those that were
	// created are not in Before, those that were deleted not in After.
	Before []json.RawMessage `json:"before"`
	After  []json.RawMessage `json:"after"`
	// Objects has every object that was asked for.
	Objects []ObjectChange `json:"objects"`
	// Plan is what the change does to the pools. Its refusals are those that
	// were accepted; in a dry run also those that were not.
	Plan Preview `json:"plan"`
	// Warnings are what is suspicious about the site that results.
	Warnings []*FieldError `json:"warnings,omitempty"`
}

// ObjectChange is what apply or delete did to one object.
type ObjectChange struct {
	Kind   Kind   `json:"kind"`
	Name   string `json:"name"`
	Action Action `json:"action"`
	// Generation is that of the object afterwards.
	Generation int64 `json:"generation,omitempty"`
	// Fields are the differences of labels and spec, by path.
	Fields []FieldChange `json:"fields,omitempty"`
}

// Key names the object as api.Key does.
func (c ObjectChange) Key() string { return string(c.Kind) + "/" + c.Name }

// FieldChange is one field that differs. A side that lacks the field is absent.
type FieldChange struct {
	Path   string          `json:"path"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// VerbRequest is the body of a verb. Depool reads all but Weight, pool reads
// Reason and AcceptRisk, weight reads Weight, Reason and AcceptRisk.
type VerbRequest struct {
	// Reason says why. Depool needs one.
	Reason string `json:"reason,omitempty"`
	// Until ends the intent by itself; For does so after a time. At most one.
	Until time.Time `json:"until,omitzero"`
	For   Duration  `json:"for,omitempty"`
	// Weight is what weight sets.
	Weight *WeightValue `json:"weight,omitempty"`
	// AcceptRisk names the guards to override.
	AcceptRisk []Risk `json:"acceptRisk,omitempty"`
	// DryRun changes nothing and says what would be done.
	DryRun bool `json:"dryRun,omitempty"`
}

// WeightValue is a nominal weight of 1..8, or WeightReset, which is written
// "reset".
type WeightValue int

// WeightReset goes back to the configured weight.
const WeightReset WeightValue = 0

// MaxWeight is the highest nominal weight.
const MaxWeight WeightValue = 8

// ParseWeight reads what an operator writes: 1..8 or reset.
func ParseWeight(s string) (WeightValue, error) {
	n, err := strconv.Atoi(s)
	switch {
	case s == "reset":
		return WeightReset, nil
	case err != nil || n < 1 || WeightValue(n) > MaxWeight:
		return 0, fmt.Errorf("%q is not a weight; write 1..%d, or reset for the configured one (0 is not a weight: depool instead)", s, MaxWeight)
	}
	return WeightValue(n), nil
}

// String renders the value as it is written.
func (w WeightValue) String() string {
	if w == WeightReset {
		return "reset"
	}
	return strconv.Itoa(int(w))
}

// MarshalJSON writes a number or "reset".
func (w WeightValue) MarshalJSON() ([]byte, error) {
	if w == WeightReset {
		return json.Marshal(w.String())
	}
	return json.Marshal(int(w))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (w *WeightValue) UnmarshalJSON(data []byte) (err error) {
	*w, err = ParseWeight(strings.Trim(string(data), `"`))
	return err
}

// VerbResult is the answer of a verb on a real server.
type VerbResult struct {
	DryRun  bool `json:"dryRun,omitempty"`
	Changed bool `json:"changed"`
	// Revision is the store's, after the write; 0 without one.
	Revision int64 `json:"revision,omitempty"`
	// Before and After are what operators want of the server; never nil.
	Before *ServerIntent `json:"before"`
	After  *ServerIntent `json:"after"`
	// Plan is what the change does to the pools.
	Plan Preview `json:"plan"`
}

// StoreAcceptRequest is the body of store accept.
type StoreAcceptRequest struct {
	Reason     string `json:"reason,omitempty"`
	AcceptRisk []Risk `json:"acceptRisk,omitempty"`
}

// StoreAcceptResult is the answer of store accept.
type StoreAcceptResult struct {
	Changed bool `json:"changed"`
	// Before is nil when no restored store was accepted ever.
	Before *StoreIntent `json:"before"`
	After  *StoreIntent `json:"after"`
}

// VersionInfo says which program answers.
type VersionInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Leader  string `json:"leader,omitempty"`
}

// List is the answer to a request for several things.
type List[T any] struct {
	// Revision is the store's, of which the items are.
	Revision int64 `json:"revision"`
	// Stale says why the items may be behind the store.
	Stale string `json:"stale,omitempty"`
	Items []T    `json:"items"`
}

// StreamLine is one line of a watch stream. A heartbeat has no value.
type StreamLine struct {
	// Type is "value", "heartbeat" or "error".
	Type string `json:"type"`
	// ID resumes the stream of events after this line.
	ID    string          `json:"id,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
	Error *Error          `json:"error,omitempty"`
}

// The types of lines.
const (
	StreamValue     = "value"
	StreamHeartbeat = "heartbeat"
	StreamError     = "error"
)

// HTTP headers of the API.
const (
	// HeaderActor says who asks, where no client certificate does.
	HeaderActor = "X-Peerage-Actor"
	// HeaderStale says why an answer may be behind the store.
	HeaderStale = "Peerage-Stale"
	// HeaderRevision is the revision of the store that an answer is of.
	HeaderRevision = "Peerage-Revision"
	// HeaderServer is the real server that a stream of routes comes from.
	HeaderServer = "Peerage-Server"
)

// Collection is the path element of a kind in the HTTP API, such as
// realservers.
func Collection(kind Kind) (string, error) {
	switch kind {
	case KindPool:
		return "pools", nil
	case KindLoadBalancer:
		return "loadbalancers", nil
	case KindRealServer:
		return "realservers", nil
	case KindSettings:
		return "settings", nil
	case KindCustomer:
		return "customers", nil
	}
	_, err := New(kind)
	return "", err
}
