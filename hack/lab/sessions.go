package lab

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/peerage/peerage/hack/lab/router"
)

// Change is a session that came up or went down.
type Change struct {
	At time.Time
	Up bool
	// Why is what the router said before a session went down.
	Why string
	// Asked is a session that went down because the lab told the swarm so.
	Asked bool
}

// ParseLog reads the changes of the one session in the log of a customer's
// router, whose lines read understands. An incomplete last line is left for the
// next time; rest is where it starts.
func ParseLog(text string, read func(line string) (router.Event, bool)) (changes []Change, rest int) {
	why := ""
	for {
		line, _, whole := strings.Cut(text[rest:], "\n")
		if !whole {
			return changes, rest
		}
		rest += len(line) + 1
		e, ok := read(line)
		switch {
		case !ok:
		case e.Kind == router.Up:
			changes = append(changes, Change{At: e.At, Up: true})
			why = ""
		case e.Kind == router.Down:
			changes = append(changes, Change{At: e.At, Why: cmp.Or(why, e.Text)})
		default:
			why = e.Text
		}
	}
}

// Session is the history of one customer's session, as its router logged it.
type Session struct {
	Customer Node
	// Established is the state after the last change.
	Established bool
	Changes     []Change
	// Server is the BGP identifier that answered last, as far as it is known.
	Server netip.Addr
	offset int64
}

// Flaps are the changes since a moment that took the session down, unless that
// was asked for.
func (s *Session) Flaps(since time.Time) []Change {
	var downs []Change
	for _, c := range s.Changes {
		if !c.Up && !c.Asked && !c.At.Before(since) {
			downs = append(downs, c)
		}
	}
	return downs
}

// Sessions follow the sessions of all customers.
type Sessions struct {
	all    []*Session // those with routers of their own first
	swarm  []*Session
	offset int64 // in the swarm's file of changes
}

// FollowSessions follows the sessions of a topology's customers from the
// beginning of their routers' logs.
func FollowSessions(t Topology) *Sessions {
	s := &Sessions{}
	for _, n := range t.CustomerNodes() {
		s.all = append(s.all, &Session{Customer: n})
	}
	for i := range t.Swarm.Sessions {
		s.swarm = append(s.swarm, &Session{Customer: Node{Name: SwarmSession(i), Role: RoleCustomer}})
	}
	s.all = append(s.all, s.swarm...)
	return s
}

// Update reads what the logs say since the last time. A log that is not there
// yet is a router that has not started.
func (s *Sessions) Update() error {
	for _, one := range s.all[:len(s.all)-len(s.swarm)] {
		if err := one.update(); err != nil {
			return fmt.Errorf("sessions: %w", err)
		}
	}
	if len(s.swarm) == 0 {
		return nil
	}
	if err := s.updateSwarm(); err != nil {
		return fmt.Errorf("sessions of the swarm: %w", err)
	}
	return nil
}

// readFrom is the text of a file from an offset on; none of one that is not
// there.
func readFrom(name string, offset int64) (string, error) {
	f, err := os.Open(name)
	if os.IsNotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return "", err
	}
	text, err := io.ReadAll(f)
	return string(text), err
}

func (s *Session) update() error {
	r := s.Customer.Router.Router()
	text, err := readFrom(s.Customer.File(r.LogFile()), s.offset)
	if err != nil {
		return err
	}
	changes, rest := ParseLog(text, r.Read)
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
