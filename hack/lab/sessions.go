package lab

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// What BIRD's log says of a session, with `debug protocols { states, events }`.
const (
	logUp   = "<TRACE> vip: BGP session established"
	logDown = "<TRACE> vip: BGP session closed"
	logTime = "2006-01-02 15:04:05.000"
)

// Change is a session that came up or went down.
type Change struct {
	At time.Time
	Up bool
	// Why is what BIRD said before a session went down.
	Why string
}

// ParseLog reads the changes of the one session in a customer's BIRD log. An
// incomplete last line is left for the next time; rest is where it starts.
func ParseLog(text string) (changes []Change, rest int) {
	why := ""
	for {
		line, _, whole := strings.Cut(text[rest:], "\n")
		if !whole {
			return changes, rest
		}
		rest += len(line) + 1
		switch {
		case strings.HasSuffix(line, logUp):
			changes = append(changes, Change{At: lineTime(line), Up: true})
			why = ""
		case strings.HasSuffix(line, logDown):
			changes = append(changes, Change{At: lineTime(line), Why: why})
		default:
			if _, message, ok := strings.Cut(line, "> vip: "); ok && !strings.HasPrefix(message, "State changed") {
				why = message
			}
		}
	}
}

func lineTime(line string) time.Time {
	if len(line) < len(logTime) {
		return time.Time{}
	}
	at, err := time.ParseInLocation(logTime, line[:len(logTime)], time.Local)
	if err != nil {
		return time.Time{}
	}
	return at
}

// Session is the history of one customer's session, as its router logged it.
type Session struct {
	Customer Node
	// Established is the state after the last change.
	Established bool
	Changes     []Change
	offset      int64
}

// Flaps are the changes since a moment that took the session down.
func (s *Session) Flaps(since time.Time) []Change {
	var downs []Change
	for _, c := range s.Changes {
		if !c.Up && !c.At.Before(since) {
			downs = append(downs, c)
		}
	}
	return downs
}

// Sessions follow the sessions of all customers.
type Sessions struct{ all []*Session }

// FollowSessions follows the sessions of a topology's customers from the
// beginning of their routers' logs.
func FollowSessions(t Topology) *Sessions {
	s := &Sessions{}
	for _, n := range t.CustomerNodes() {
		s.all = append(s.all, &Session{Customer: n})
	}
	return s
}

// Update reads what the logs say since the last time. A log that is not there
// yet is a router that has not started.
func (s *Sessions) Update() error {
	for _, one := range s.all {
		if err := one.update(); err != nil {
			return fmt.Errorf("sessions: %w", err)
		}
	}
	return nil
}

func (s *Session) update() error {
	f, err := os.Open(s.Customer.File("bird.log"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(s.offset, io.SeekStart); err != nil {
		return err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	changes, rest := ParseLog(string(text))
	s.offset += int64(rest)
	s.Changes = append(s.Changes, changes...)
	if len(changes) > 0 {
		s.Established = changes[len(changes)-1].Up
	}
	return nil
}

// All lists the sessions in the order of their customers.
func (s *Sessions) All() []*Session { return s.all }

// Established counts the sessions that are up.
func (s *Sessions) Established() int {
	n := 0
	for _, one := range s.all {
		if one.Established {
			n++
		}
	}
	return n
}

// Flapped lists the sessions that went down since a moment, or are down.
func (s *Sessions) Flapped(since time.Time) []*Session {
	var flapped []*Session
	for _, one := range s.all {
		if len(one.Flaps(since)) > 0 {
			flapped = append(flapped, one)
		}
	}
	return flapped
}
