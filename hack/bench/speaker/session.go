package speaker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
)

// session is one router of the generator: it announces or it receives.
type session struct {
	source netip.Addr
	conn   net.Conn
	buf    []byte // partial input
	limit  int
	held   int

	mu  sync.Mutex // of writes: a KEEPALIVE must not stand inside an UPDATE; guards the field below
	cut error      // of a write: the stream may end in the middle of a message

	done chan struct{}
	work sync.WaitGroup

	failed chan error // buffered; the first is kept. Shared by feeds.
}

// holdTime is offered by every session; it bounds how long a speaker may be too
// busy to send a KEEPALIVE.
const holdTime = 240 * time.Second

// connect dials until a session is up or ctx ends: a speaker may refuse a
// connection while it starts, and drop SYNs under load.
func connect(ctx context.Context, target netip.AddrPort, source netip.Addr, as uint32) (*session, error) {
	for {
		s, err := connectOnce(ctx, target, source, as)
		if err == nil {
			return s, nil
		}
		if pause := sleep(ctx, 100*time.Millisecond); pause != nil {
			return nil, fmt.Errorf("session from %s: %w", source, err)
		}
	}
}

func connectOnce(ctx context.Context, target netip.AddrPort, source netip.Addr, as uint32) (*session, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: source.AsSlice()}, KeepAlive: -1, Timeout: 10 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", target.String())
	if err != nil {
		return nil, err
	}
	s := &session{source: source, conn: conn, limit: bgp.MaxMessage, buf: make([]byte, 4*bgp.MaxExtendedMessage), done: make(chan struct{}), failed: make(chan error, 1)}
	if err := s.handshake(as); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

// handshakeLimit bounds how long a speaker may think about an OPEN.
const handshakeLimit = 60 * time.Second

func (s *session) handshake(as uint32) error {
	if err := s.conn.SetDeadline(time.Now().Add(handshakeLimit)); err != nil {
		return err
	}
	open := bgp.Open{AS: as, HoldTime: holdTime, Identifier: s.source, Capabilities: []bgp.Capability{bgp.Multiprotocol(bgp.IPv4Unicast), {Code: bgp.CapRouteRefresh}}}
	if _, err := s.conn.Write(open.Append(nil)); err != nil {
		return err
	}
	up := false
	for !up {
		err := s.read(func(m bgp.Message) error {
			switch m.Type {
			case bgp.TypeOpen:
				_, err := s.conn.Write(bgp.AppendKeepalive(nil))
				return err
			case bgp.TypeKeepalive:
				up = true
			case bgp.TypeNotification:
				return notified(m)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.conn.SetDeadline(time.Time{})
}

func notified(m bgp.Message) error {
	n, err := bgp.DecodeNotification(m.Body)
	if err != nil {
		return err
	}
	return fmt.Errorf("NOTIFICATION %s", n)
}

// read waits for input and hands every whole message to use.
func (s *session) read(use func(bgp.Message) error) error {
	n, err := s.conn.Read(s.buf[s.held:])
	s.held += n
	at := 0
	for {
		m, size, bad := bgp.Next(s.buf[at:s.held], s.limit)
		if bad != nil {
			return bad
		}
		if size == 0 {
			break
		}
		at += size
		if err := use(m); err != nil {
			return err
		}
	}
	s.held = copy(s.buf, s.buf[at:s.held])
	return err
}

// run reads until the session ends, and keeps it alive. UPDATEs go to use.
func (s *session) run(use func(body []byte) error) {
	s.work.Go(s.keepAlive)
	s.work.Go(func() {
		for {
			err := s.read(func(m bgp.Message) error {
				switch m.Type {
				case bgp.TypeNotification:
					return notified(m)
				case bgp.TypeUpdate:
					return use(m.Body)
				}
				return nil
			})
			if err != nil {
				s.fail(err)
				return
			}
		}
	})
}

func (s *session) keepAlive() {
	t := time.NewTicker(holdTime / 6)
	defer t.Stop()
	keepalive := bgp.AppendKeepalive(nil)
	for {
		select {
		case <-s.done:
			return
		case <-t.C:
			if err := s.write(keepalive); err != nil {
				s.fail(err)
				return
			}
		}
	}
}

// writeLimit is how long a speaker may leave a chunk unread. A slow one that
// serves one router after the other takes minutes.
const writeLimit = 15 * time.Minute

func (s *session) write(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut != nil {
		return s.cut
	}
	s.cut = s.conn.SetWriteDeadline(time.Now().Add(writeLimit))
	if s.cut == nil {
		_, s.cut = s.conn.Write(b)
	}
	return s.cut
}

// fail tells that the session ended; the end of one that was closed is none.
func (s *session) fail(err error) {
	select {
	case <-s.done:
		return
	default:
	}
	select {
	case s.failed <- fmt.Errorf("session from %s: %w", s.source, err):
	default:
	}
}

// send announces everything; a stalled speaker holds it up until close.
func (s *session) send(st *stream) error {
	for i := range st.ends {
		if err := s.write(st.chunk(i)); err != nil {
			return fmt.Errorf("session from %s: %w", s.source, err)
		}
	}
	return nil
}

// sendPatched sends a collected stream as feed's own. Each feed begins at
// another place, so that they do not go hand in hand.
func (s *session) sendPatched(st *stream, how sharing, feed int) error {
	b := make([]byte, chunkSize)
	for i := range st.ends {
		part := b[:copy(b, st.chunk((i+feed*7)%len(st.ends)))]
		patch(part, how.feedAS(feed), how.feedHop(feed))
		if err := s.write(part); err != nil {
			return fmt.Errorf("session from %s: %w", s.source, err)
		}
	}
	return nil
}

// close ends the session without a word, as a router that lost its power.
func (s *session) close() {
	close(s.done)
	_ = s.conn.Close()
	s.work.Wait()
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
