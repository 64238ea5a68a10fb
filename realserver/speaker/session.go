package speaker

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/rib"
	"github.com/peerage/peerage/realserver/speaker/exchange"
)

// phase is a state of RFC 4271 section 8.2.2; a passive side with a connection
// has no others.
type phase int32

const (
	idle phase = iota
	openSent
	openConfirm
	established
)

// String names the phase as control.Session does.
func (p phase) String() string {
	switch p {
	case openSent:
		return "opensent"
	case openConfirm:
		return "openconfirm"
	case established:
		return "established"
	case idle:
	}
	return "idle"
}

// session is one connection of a router's. Its goroutine owns what has no
// other owner.
type session struct {
	sp   *Speaker
	rec  *record
	conn *net.TCPConn
	raw  syscall.RawConn
	port uint16 // the router's
	// n is replaced when a new configuration leaves the session alone.
	n atomic.Pointer[neighbor]

	phase atomic.Int32
	since atomic.Int64 // when the phase began, in Unix nanoseconds
	// stopping is why the session must end; the first reason counts.
	stopping atomic.Pointer[error]

	// asked is who wants to have the state written down.
	asked atomic.Pointer[chan *State]

	clock
	in       input
	out      output
	ours     *bgp.Open // as it was sent
	agreed   atomic.Pointer[agreement]
	exchange atomic.Pointer[exchange.Peer]
	quota    *rib.Quota // of routes
	sent     tally
	received tally
	treated  atomic.Int64
	warned   atomic.Bool // of the routes' number
	customer *customer
	md5      bool // the connection is signed
	// Of the session's goroutine: routes were not flushed yet; it has joined
	// the exchange; its stack grew.
	dirty, joined, grew bool
	pendingHere         bool // it counts as pending; guarded by sp.mu
}

// as is the router's AS number, 0 while it is not known.
func (s *session) as() uint32 {
	if a := s.agreed.Load(); a != nil {
		return a.as
	}
	return 0
}

// agreement is what the OPENs of both sides came to. It does not change.
type agreement struct {
	under             *neighbor
	as                uint32
	id                netip.Addr
	hold              time.Duration
	families          bgp.FamilySet
	fourOctetAS       bool
	extended          bool
	refresh, enhanced bool
	theirs            []byte // their OPEN, as it came
}

// limit is the longest message that may come (RFC 8654).
func (a *agreement) limit() int {
	if a.extended {
		return bgp.MaxExtendedMessage
	}
	return bgp.MaxMessage
}

// tally counts messages of one direction.
type tally struct {
	updates, keepalives, refreshes, notifications, bytes atomic.Int64
}

func (t *tally) count(kind bgp.Type, n int) {
	t.bytes.Add(int64(n))
	switch kind {
	case bgp.TypeUpdate:
		t.updates.Add(1)
	case bgp.TypeKeepalive:
		t.keepalives.Add(1)
	case bgp.TypeRouteRefresh:
		t.refreshes.Add(1)
	case bgp.TypeNotification:
		t.notifications.Add(1)
	case bgp.TypeOpen:
	}
}

// backlog is what was counted of UPDATEs and not told yet: most messages come
// many at a time, and others read the counters.
type backlog struct{ updates, bytes int64 }

// tell publishes the backlog.
func (s *session) tell() {
	if b := &s.in.backlog; b.bytes > 0 {
		s.received.updates.Add(b.updates)
		s.received.bytes.Add(b.bytes)
		s.customer.updates.Add(b.updates)
		*b = backlog{}
	}
}

// enter makes a phase begin.
func (s *session) enter(p phase) {
	s.since.Store(time.Now().UnixNano())
	s.phase.Store(int32(p))
}

func (s *session) now() phase { return phase(s.phase.Load()) }

// stop ends the session: with its NOTIFICATION when why is a *bgp.Error. It
// does not wait.
func (s *session) stop(why error) {
	if s.stopping.CompareAndSwap(nil, &why) {
		s.interrupt()
	}
}

// stopped is why the session must end, or nil.
func (s *session) stopped() error {
	if why := s.stopping.Load(); why != nil {
		return *why
	}
	return nil
}

// past is a deadline that is over: it wakes the reader.
var past = time.Unix(1, 0)

// interrupt makes the reader look around. An error means that the connection
// is closed already.
func (s *session) interrupt() { _ = s.conn.SetReadDeadline(past) }

// remoteError is a NOTIFICATION that came.
type remoteError struct{ bgp.Notification }

func (e *remoteError) Error() string { return "received " + e.String() }

// closedError is the end of a connection without a NOTIFICATION.
type closedError struct{ cause error }

func (e *closedError) Error() string {
	return fmt.Sprintf("the router closed the connection: %v", e.cause)
}
func (e *closedError) Unwrap() error { return e.cause }

// state is one state of the machine: it returns the next, nil at the end.
type state func() state

// run is the session's goroutine.
func (s *session) run(at state) {
	for at != nil {
		at = at()
	}
}

// renew goes on in a new goroutine. A stack that grew stays as it is while its
// goroutine waits, and most do nothing else: the new one needs 2 KiB.
func (s *session) renew(at state) state {
	s.grew = false
	s.sp.sessions.Go(func() { s.run(at) })
	return nil
}
