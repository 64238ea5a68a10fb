package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Version is the apiVersion of every configuration object.
const Version = "peerage/v1"

// Kind names a type of configuration object.
type Kind string

// The kinds of configuration objects. Further kinds are added here, in New and
// in State.
const (
	KindPool         Kind = "Pool"
	KindLoadBalancer Kind = "LoadBalancer"
	KindRealServer   Kind = "RealServer"
	KindSettings     Kind = "Settings"
	KindCustomer     Kind = "Customer"
)

// Kinds lists every kind in the order in which a file set is applied.
func Kinds() []Kind {
	return []Kind{KindSettings, KindLoadBalancer, KindRealServer, KindPool, KindCustomer}
}

// Meta identifies an object.
type Meta struct {
	// Name is unique within the kind: a DNS label, 1..63 of [a-z0-9-].
	Name string `json:"name"`
	// Labels are free; they are shown and never interpreted.
	Labels map[string]string `json:"labels,omitempty"`
	// Generation counts changes of the spec. The server sets it; in a file it
	// is the generation that the author has seen, and applying over another
	// one is refused.
	Generation int64 `json:"generation,omitempty"`
	// AcceptedRisks are the guards that were overridden when this generation
	// was applied. The server sets them, and clears them with the next change
	// of the spec; the planner holds a change back whose risk is not here.
	AcceptedRisks []Risk `json:"acceptedRisks,omitempty"`
}

// Accepts tells whether this generation was applied in spite of the guard.
func (m *Meta) Accepts(r Risk) bool { return slices.Contains(m.AcceptedRisks, r) }

// Object is a configuration object: one of *Pool, *LoadBalancer, *RealServer,
// *Settings, *Customer.
type Object interface {
	// ObjectKind is the constant kind of the type.
	ObjectKind() Kind
	// ObjectMeta points into the object.
	ObjectMeta() *Meta
	// ObjectSpec points to the spec of the object.
	ObjectSpec() any
	// Default fills in what was left out. It is idempotent.
	Default()
	// Validate reports every violation that can be seen in the object alone.
	Validate() error
}

// New returns an empty object of the kind, or an error that lists the kinds.
func New(kind Kind) (Object, error) {
	switch kind {
	case KindPool:
		return &Pool{}, nil
	case KindLoadBalancer:
		return &LoadBalancer{}, nil
	case KindRealServer:
		return &RealServer{}, nil
	case KindSettings:
		return &Settings{}, nil
	case KindCustomer:
		return &Customer{}, nil
	}
	return nil, fmt.Errorf("kind %q is not known; the kinds are %v", kind, Kinds())
}

// Key names an object across kinds, as in "RealServer/rs-1".
func Key(o Object) string { return string(o.ObjectKind()) + "/" + o.ObjectMeta().Name }

// envelope is how an object is written, in YAML, in JSON and in the store.
type envelope struct {
	APIVersion string          `json:"apiVersion"`
	Kind       Kind            `json:"kind"`
	Metadata   Meta            `json:"metadata"`
	Spec       json.RawMessage `json:"spec"`
}

// Marshal renders an object as JSON with its apiVersion and kind.
func Marshal(o Object) ([]byte, error) {
	spec, err := json.Marshal(o.ObjectSpec())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Key(o), err)
	}
	return json.Marshal(envelope{Version, o.ObjectKind(), *o.ObjectMeta(), spec})
}

// Duration is a time.Duration written as "1.5s" in YAML and JSON.
type Duration time.Duration

// String renders the duration as time.Duration does.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration; write a number with a unit, such as 500ms, 3s or 2m", text)
	}
	*d = Duration(v)
	return nil
}
