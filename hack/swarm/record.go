package swarm

import (
	"fmt"
	"net/netip"
)

// State is where a session stands.
type State uint8

// The states; OpenSent stands for everything between the TCP connection and
// Established.
const (
	Down State = iota
	Connecting
	OpenSent
	Established
)

var stateNames = [...]string{"down", "connecting", "open-sent", "established"}

// String names the state in lower case.
func (s State) String() string { return stateNames[s] }

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("state %q is not known", text)
}

// Change is one change of state.
type Change struct {
	At    Seconds `json:"at"`
	State State   `json:"state"`
	// Cause says why a session went down or an attempt failed: a NOTIFICATION
	// with its text, RST, FIN, a timeout, or an error of the connection.
	Cause string `json:"cause,omitempty"`
	// Server is the BGP identifier that answered, on Established.
	Server netip.Addr `json:"server,omitzero"`
}

// The causes of ends that were asked for: the end of the swarm, and a reset.
const (
	CauseStopped = "stopped"
	CauseReset   = "reset"
)

// Outage is the time from leaving Established to reaching it again.
type Outage struct {
	From   Seconds `json:"from"`
	Lasted Seconds `json:"lasted"`
}

// Limits of what is kept of one session: the oldest entries are dropped, the
// counts go on.
const (
	maxHistory = 64
	maxOutages = 64
)

// Record is what one session went through. Its owner is the session; others
// read copies.
type Record struct {
	Index  int        `json:"index"`
	Source netip.Addr `json:"source"`
	AS     uint32     `json:"as"`
	MD5    bool       `json:"md5,omitempty"`
	State  State      `json:"state"`
	// Server is the BGP identifier that answered last.
	Server netip.Addr `json:"server,omitzero"`
	// Ups counts arrivals in Established, Flaps departures from it that the
	// swarm did not ask for, Moves arrivals at another server than before.
	Ups   int `json:"ups"`
	Flaps int `json:"flaps"`
	Moves int `json:"moves"`
	// Resets counts ends that somebody asked the swarm for: no flap, no outage.
	Resets int `json:"resets,omitempty"`
	// Failures counts attempts that ended before Established. An attempt
	// begins when the session takes its turn to connect; one under way, or cut
	// short by the end of the swarm, counts as nothing.
	Failures int `json:"failures"`
	// Outages that ended, the newest 64; one that lasts is in DownSince.
	Outages   []Outage `json:"outages,omitempty"`
	DownSince Seconds  `json:"downSince,omitempty"`
	UpSince   Seconds  `json:"upSince,omitempty"`
	// Acked is when the peer's kernel last acknowledged bytes, and Silence the
	// longest time between two such acknowledgements, as far as it was looked at
	// (at least three times a hold time, and whenever somebody asks).
	Acked   Seconds `json:"acked,omitempty"`
	Silence Seconds `json:"silence"`
	// Announced and Withdrawn count received routes.
	Announced uint64 `json:"announced"`
	Withdrawn uint64 `json:"withdrawn"`
	// FlapCause is why the session last left Established, FailureCause why an
	// attempt last failed.
	FlapCause    string `json:"flapCause,omitempty"`
	FailureCause string `json:"failureCause,omitempty"`
	// History has the newest 64 changes; Forgotten counts the ones before.
	History   []Change `json:"history,omitempty"`
	Forgotten int      `json:"forgotten,omitempty"`
}

// change notes a new state.
func (r *Record) change(at Seconds, to State, cause string) Change {
	c := Change{At: at, State: to, Cause: cause}
	switch {
	case to == Established:
		c.Server = r.Server
		r.Ups++
		r.UpSince = at
		if r.DownSince > 0 {
			r.Outages = appendBounded(r.Outages, Outage{r.DownSince, at - r.DownSince}, maxOutages)
		}
		r.DownSince = 0
	case r.State == Established:
		r.Flaps++
		r.DownSince, r.UpSince = at, 0
		r.FlapCause = cause
	case to == Down:
		r.Failures++
		r.FailureCause = cause
	}
	r.remember(c)
	return c
}

// end notes an end that was asked for: no flap, no failure.
func (r *Record) end(at Seconds, why string) Change {
	c := Change{At: at, State: Down, Cause: why}
	r.UpSince = 0
	r.remember(c)
	return c
}

func (r *Record) remember(c Change) {
	r.State = c.State
	if len(r.History) == maxHistory {
		r.Forgotten++
	}
	r.History = appendBounded(r.History, c, maxHistory)
}

// appendBounded appends, and drops the oldest element beyond limit.
func appendBounded[T any](s []T, v T, limit int) []T {
	if len(s) == limit {
		s = append(s[:0], s[1:]...)
	}
	return append(s, v)
}

// answeredBy notes who answered.
func (r *Record) answeredBy(server netip.Addr) {
	if r.Server.IsValid() && r.Server != server {
		r.Moves++
	}
	r.Server = server
}

// clone copies the record with all it points to.
func (r *Record) clone() Record {
	c := *r
	c.Outages = append([]Outage(nil), r.Outages...)
	c.History = append([]Change(nil), r.History...)
	return c
}
