package swarm

import (
	"net/netip"
	"time"
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

// String names the state in lower case.
func (s State) String() string {
	return [...]string{"down", "connecting", "open-sent", "established"}[s]
}

// maxHistory bounds the changes that are kept of one session: the first ones
// are dropped, the counts go on.
const maxHistory = 16

// Change is one change of state.
type Change struct {
	// At is since the swarm began, on the monotonic clock.
	At    time.Duration `json:"at"`
	State string        `json:"state"`
	// Cause says why a session went down: a NOTIFICATION with its text, RST,
	// FIN, hold timer, or an error of the connection.
	Cause string `json:"cause,omitempty"`
}

// Record is what one session went through. Its owner is the session; others
// read copies.
type Record struct {
	Index  int        `json:"index"`
	Source netip.Addr `json:"source"`
	AS     uint32     `json:"as"`
	MD5    bool       `json:"md5,omitempty"`
	State  State      `json:"-"`
	// Server is the BGP identifier that answered last.
	Server netip.Addr `json:"server,omitzero"`
	// Ups counts arrivals in Established, Flaps departures from it that the
	// swarm did not ask for.
	Ups   int `json:"ups"`
	Flaps int `json:"flaps"`
	// Failures counts attempts that did not reach Established.
	Failures int `json:"failures"`
	// Outages are the times from leaving Established to reaching it again;
	// an outage that lasts is in DownSince.
	Outages   []time.Duration `json:"outages,omitempty"`
	DownSince time.Duration   `json:"downSince,omitempty"`
	UpSince   time.Duration   `json:"upSince,omitempty"`
	// Silence is the longest time between two acknowledgements by the peer's
	// kernel, as far as it was looked at (at least three times a hold time).
	Silence time.Duration `json:"silence"`
	// Announced and Withdrawn count received routes.
	Announced uint64   `json:"announced"`
	Withdrawn uint64   `json:"withdrawn"`
	History   []Change `json:"history,omitempty"`
	LastCause string   `json:"lastCause,omitempty"`
}

// maxOutages bounds the outages that are kept of one session.
const maxOutages = 64

// change notes a new state.
func (r *Record) change(at time.Duration, to State, cause string) {
	switch {
	case to == Established:
		r.Ups++
		r.UpSince = at
		if r.DownSince > 0 && len(r.Outages) < maxOutages {
			r.Outages = append(r.Outages, at-r.DownSince)
		}
		r.DownSince = 0
	case r.State == Established:
		r.Flaps++
		r.DownSince = at
	case to == Down && cause != "":
		r.Failures++
	}
	if cause != "" {
		r.LastCause = cause
	}
	r.State = to
	if to == Down || to == Established {
		if len(r.History) == maxHistory {
			r.History = append(r.History[:0], r.History[1:]...)
		}
		r.History = append(r.History, Change{at, to.String(), cause})
	}
}

// stop notes an end that the swarm itself asked for: no flap, no outage.
func (r *Record) stop(at time.Duration) {
	r.State = Down
	r.History = append(r.History, Change{at, Down.String(), "stopped"})
}
