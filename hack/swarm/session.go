package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/realserver/bgp"
)

// session is one customer's router. Its goroutine owns everything but what mu
// guards.
type session struct {
	swarm  *Swarm
	index  int
	source netip.Addr
	target netip.AddrPort
	as     uint32
	key    string

	conn    *net.TCPConn
	raw     syscall.RawConn
	partial []byte        // of a message whose rest has not arrived
	limit   int           // of a message
	hold    time.Duration // negotiated; 0: no timers
	heard   time.Time     // last message from the peer
	said    time.Time     // last KEEPALIVE to it
	acked   time.Time     // last acknowledgement, as far as known
	opened  bool          // the peer's OPEN was received on this connection
	sender  sync.WaitGroup
	random  *rand.Rand

	mu     sync.Mutex
	record Record
}

// run keeps the session up until ctx ends.
func (s *session) run(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		up, err := s.connect(ctx)
		if ctx.Err() != nil {
			s.noteStop()
			return
		}
		s.note(Down, err.Error())
		var setup *setupError
		if errors.As(err, &setup) {
			s.swarm.fail(fmt.Errorf("session %d: %w", s.index, err))
			return
		}
		failures++
		if up {
			failures = 0
		}
		if !sleep(ctx, s.swarm.cfg.Profile.wait(failures, s.random)) {
			return
		}
	}
}

// connect makes one attempt, and stays as long as the session lives. It tells
// whether the session reached Established, and why it ended.
func (s *session) connect(ctx context.Context) (up bool, err error) {
	if !s.swarm.pace(ctx) {
		return false, ctx.Err()
	}
	s.note(Connecting, "")
	limit, cancel := context.WithTimeout(ctx, s.swarm.cfg.Profile.Connect)
	conn, err := dial(limit, s.source, s.target, s.key)
	cancel()
	if err != nil {
		return false, err
	}
	s.conn, s.partial, s.limit, s.opened = conn, nil, bgp.MaxMessage, false
	if s.raw, err = conn.SyscallConn(); err != nil {
		conn.Close()
		return false, err
	}
	// Ends the read below at once when the swarm stops.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	up, err = s.live(ctx)
	stop()
	s.farewell(ctx, err)
	s.sender.Wait()
	return up, err
}

// live speaks BGP on the connection until it ends.
func (s *session) live(ctx context.Context) (up bool, err error) {
	s.note(OpenSent, "")
	open := bgp.Open{
		AS: s.as, HoldTime: s.swarm.cfg.HoldTime, Identifier: s.identifier(),
		Capabilities: s.swarm.capabilities,
	}
	s.heard, s.said, s.acked = time.Now(), time.Now(), time.Time{}
	s.hold = s.swarm.cfg.Profile.Connect // until negotiated: bounds the handshake
	if err := s.write(open.Append(nil)); err != nil {
		return false, err
	}
	for {
		state, err := s.receive(ctx)
		if err != nil {
			return up, err
		}
		if state == Established && !up {
			up = true
			s.note(Established, "")
			s.announce(ctx)
		}
	}
}

// receive waits for the next thing that happens, and handles it.
func (s *session) receive(ctx context.Context) (State, error) {
	if err := s.deadline(ctx); err != nil {
		return Down, err
	}
	state := s.state()
	err := s.read(func(b []byte) error {
		for len(b) > 0 {
			m, n, err := bgp.Next(b, s.limit)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			if state, err = s.handle(state, m); err != nil {
				return err
			}
			b = b[n:]
		}
		s.keep(b)
		return nil
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return state, s.tick(ctx)
	}
	return state, err
}

// keep holds on to the beginning of a message.
func (s *session) keep(b []byte) {
	if len(b) == 0 {
		s.partial = nil
		return
	}
	s.partial = append(make([]byte, 0, len(b)), b...)
}

// deadline arms the read for the next timer: a KEEPALIVE to send or the end of
// the hold time (RFC 4271 section 4.4: a third of it).
func (s *session) deadline(ctx context.Context) error {
	if s.hold == 0 {
		return s.conn.SetReadDeadline(time.Time{})
	}
	next := s.heard.Add(s.hold)
	if keepalive := s.said.Add(s.hold / 3); keepalive.Before(next) && s.state() == Established {
		next = keepalive
	}
	if err := s.conn.SetReadDeadline(next); err != nil {
		return err
	}
	if ctx.Err() != nil { // the AfterFunc may have come before
		return ctx.Err()
	}
	return nil
}

// tick does what a timer asks for.
func (s *session) tick(ctx context.Context) error {
	now := time.Now()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case now.Sub(s.heard) >= s.hold:
		return bgp.Errorf(bgp.CodeHoldTimer, 0, nil, "nothing heard for %s", s.hold)
	case now.Sub(s.said) >= s.hold/3 && s.state() == Established:
		return s.keepalive()
	}
	return nil
}

func (s *session) keepalive() error {
	s.said = time.Now()
	s.observeAcks()
	return s.write(s.swarm.keepalive)
}

// handle is the session machine: RFC 4271 section 8.2.2 for a side that opened
// the connection and whose peer has one connection to it.
func (s *session) handle(state State, m bgp.Message) (State, error) {
	s.heard = time.Now()
	s.observeAcks()
	switch m.Type {
	case bgp.TypeNotification:
		n, err := bgp.DecodeNotification(m.Body)
		if err != nil {
			return Down, err
		}
		return Down, notified{n}
	case bgp.TypeOpen:
		if s.opened {
			return Down, bgp.Errorf(bgp.CodeFSM, 0, nil, "second OPEN")
		}
		return OpenSent, s.open(m.Body)
	case bgp.TypeKeepalive:
		if !s.opened {
			return Down, bgp.Errorf(bgp.CodeFSM, 0, nil, "KEEPALIVE before OPEN")
		}
		return Established, nil
	}
	if state != Established {
		return Down, bgp.Errorf(bgp.CodeFSM, 0, nil, "%s before Established", m.Type)
	}
	if m.Type == bgp.TypeUpdate {
		return Established, s.count(m.Body)
	}
	return Established, nil
}

// open takes the peer's OPEN.
func (s *session) open(body []byte) error {
	o, err := bgp.DecodeOpen(body)
	if err != nil {
		return err
	}
	if want := s.swarm.cfg.PeerAS; want != 0 && o.AS != want {
		return bgp.Errorf(bgp.CodeOpen, bgp.SubBadPeerAS, nil, "peer is AS %d, not %d", o.AS, want)
	}
	s.opened = true
	s.hold = min(s.swarm.cfg.HoldTime, o.HoldTime)
	if _, ok := o.Capability(bgp.CapExtendedMessage); ok {
		s.limit = bgp.MaxExtendedMessage
	}
	s.mu.Lock()
	s.record.Server = o.Identifier
	s.mu.Unlock()
	return s.keepalive()
}

// count counts the routes of an UPDATE without building them.
func (s *session) count(body []byte) error {
	u, err := bgp.DecodeUpdate(body)
	if err != nil {
		return err
	}
	announced, err := bgp.CountPrefixes(bgp.AFIIPv4, u.NLRI)
	if err != nil {
		return err
	}
	withdrawn, err := bgp.CountPrefixes(bgp.AFIIPv4, u.Withdrawn)
	if err != nil {
		return err
	}
	if u.Reach != nil {
		n, err := bgp.CountPrefixes(u.Reach.Family.AFI, u.Reach.NLRI)
		if err != nil {
			return err
		}
		announced += n
	}
	if u.Unreach != nil {
		n, err := bgp.CountPrefixes(u.Unreach.Family.AFI, u.Unreach.NLRI)
		if err != nil {
			return err
		}
		withdrawn += n
	}
	s.mu.Lock()
	s.record.Announced += uint64(announced)
	s.record.Withdrawn += uint64(withdrawn)
	s.mu.Unlock()
	return nil
}

// farewell closes the connection. A violation by the peer, a hold timer and
// the end of the swarm are told with a NOTIFICATION.
func (s *session) farewell(ctx context.Context, err error) {
	var violation *bgp.Error
	switch {
	case ctx.Err() != nil:
		_ = s.write(bgp.Shutdown(bgp.SubAdministrativeShutdown, "swarm stopped").Append(nil))
	case errors.As(err, &violation):
		_ = s.write(violation.Notification.Append(nil))
	}
	s.conn.Close()
	s.conn, s.raw, s.partial = nil, nil, nil
}

// writeTimeout bounds every write: a peer that does not read is given up.
const writeTimeout = 30 * time.Second

func (s *session) write(b []byte) error { return writeTo(s.conn, b) }

func writeTo(conn *net.TCPConn, b []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write(b); err != nil {
		return connError(err)
	}
	return nil
}

// buffers are lent to sessions that have something to read.
var buffers = sync.Pool{New: func() any { return new([bgp.MaxExtendedMessage]byte) }}

// read waits until there are bytes, and hands them to use together with what
// was kept. No buffer is held while waiting.
func (s *session) read(use func([]byte) error) error {
	var failed error
	err := s.raw.Read(func(fd uintptr) bool {
		b := buffers.Get().(*[bgp.MaxExtendedMessage]byte)
		defer buffers.Put(b)
		held := copy(b[:], s.partial)
		n, err := unix.Read(int(fd), b[held:])
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			return false
		case err != nil:
			failed = connError(err)
		case n == 0:
			failed = connError(io.EOF)
		default:
			failed = use(b[:held+n])
		}
		return true
	})
	return errors.Join(failed, err)
}

// notified is the end of a session that the peer told with a NOTIFICATION.
type notified struct{ bgp.Notification }

// Error implements error.
func (n notified) Error() string { return "peer sent " + n.String() }

// connError names the ends of a TCP connection in the words of the field.
func connError(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("FIN from the peer")
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return errors.New("RST from the peer")
	case errors.Is(err, unix.ETIMEDOUT):
		return errors.New("connection timed out")
	}
	return err
}

// observeAcks asks the kernel when the peer last acknowledged something.
func (s *session) observeAcks() {
	var info *unix.TCPInfo
	_ = s.raw.Control(func(fd uintptr) {
		info, _ = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if info == nil {
		return
	}
	acked := time.Now().Add(-time.Duration(info.Last_ack_recv) * time.Millisecond)
	if gap := acked.Sub(s.acked); !s.acked.IsZero() && gap > 0 {
		s.mu.Lock()
		s.record.Silence = max(s.record.Silence, gap)
		s.mu.Unlock()
	}
	s.acked = acked
}

// identifier is the router id: the IPv4 source, or a number derived from the
// session's index for IPv6 ones.
func (s *session) identifier() netip.Addr {
	if s.source.Is4() {
		return s.source
	}
	return netip.AddrFrom4([4]byte{100, byte(64 + s.index>>16&0x3f), byte(s.index >> 8), byte(s.index)})
}

func (s *session) state() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.State
}

func (s *session) note(to State, cause string) {
	at := s.swarm.since()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record.change(at, to, cause)
}

func (s *session) noteStop() {
	at := s.swarm.since()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record.stop(at)
}

// sleep waits for d, and tells whether ctx lived that long.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// newRandom gives each session its own jitter, the same in each run.
func newRandom(seed uint64, index int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(index))) }
