package speaker

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/realserver/bgp"
)

// pacedRead is how much a session reads at once whose rate is bounded: what is
// read waits in memory while the session is paused.
const pacedRead = 4096

// input is what came and is not handled yet. The session's goroutine owns it.
type input struct {
	buf *buffer // nil while nothing is to be read
	// partial is the beginning of a message, kept while there is no buffer.
	partial []byte
	limit   int
	err     error // of the last read
	backlog backlog
	fresh   bool // nothing was taken since the last read
	ready   func(fd uintptr) bool
}

// errRest tells that there is nothing to read, to a goroutine whose stack grew.
var errRest = errors.New("nothing to read")

// next is the next message. It is valid until the next call.
func (s *session) next() (bgp.Message, error) {
	for {
		if err := s.stopped(); err != nil {
			return bgp.Message{}, err
		}
		if b := s.in.buf; b != nil {
			m, n, err := bgp.Next(b.data[b.r:b.w], s.in.limit)
			if err != nil {
				return bgp.Message{}, err
			}
			if n > 0 {
				b.r += n
				if m.Type == bgp.TypeUpdate {
					s.in.backlog.updates++
					s.in.backlog.bytes += int64(n)
				} else {
					s.received.count(m.Type, n)
				}
				s.hear()
				return m, nil
			}
			b.compact()
		}
		s.tell()
		if err := s.flush(); err != nil {
			return bgp.Message{}, err
		}
		if err := s.fill(); err != nil {
			return bgp.Message{}, err
		}
	}
}

// fill waits for bytes.
func (s *session) fill() error {
	if s.in.ready == nil {
		s.in.ready = s.readReady
	}
	for {
		if err := s.stopped(); err != nil {
			return err
		}
		err := s.raw.Read(s.in.ready)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := s.lookAround(); err != nil {
				return err
			}
			continue
		case err == nil:
			err = s.in.err
			s.in.err = nil
		}
		if errors.Is(err, errRest) {
			return err
		}
		if err != nil {
			return &closedError{err}
		}
		s.in.fresh = true
		return nil
	}
}

// readReady reads what there is. False makes the poller wait, without a
// buffer.
func (s *session) readReady(fd uintptr) bool {
	b := s.borrow()
	b.grow(b.w)
	to := len(b.data)
	if s.n.Load().limits.updatesPerSecond > 0 {
		to = min(to, b.w+pacedRead)
	}
	for {
		n, err := unix.Read(int(fd), b.data[b.w:to])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			s.park()
			if s.grew {
				s.in.err = errRest
			}
			return s.grew
		case err != nil:
			s.in.err = err
			return true
		case n == 0:
			s.in.err = io.EOF
			return true
		default:
			b.w += n
			b.full = b.w == len(b.data)
			return true
		}
	}
}

// borrow gets a buffer, with what was kept.
func (s *session) borrow() *buffer {
	if s.in.buf == nil {
		b := s.sp.buffers.get()
		b.grow(len(s.in.partial))
		b.w = copy(b.data, s.in.partial)
		s.in.buf, s.in.partial = b, nil
	}
	return s.in.buf
}

// park gives the buffer back and keeps what is not handled.
func (s *session) park() {
	b := s.in.buf
	if b == nil {
		return
	}
	if b.r < b.w {
		s.in.partial = append([]byte(nil), b.data[b.r:b.w]...)
	}
	s.in.buf = nil
	s.sp.buffers.put(b)
}

// release drops what is left of the input.
func (s *session) release() {
	s.park()
	s.in.partial = nil
	s.tell()
}

// hear notes that a message came (RFC 4271 section 8.2.2: KEEPALIVE and UPDATE
// restart the HoldTimer); once for what was read together.
func (s *session) hear() {
	if s.in.fresh {
		s.in.fresh = false
		s.heard.Store(time.Now().UnixNano())
		s.grace = false
	}
}

// lookAround is what an interrupted reader does.
func (s *session) lookAround() error {
	if err := s.conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if err := s.stopped(); err != nil {
		return err
	}
	s.answer()
	if !s.silent(time.Now()) {
		return nil
	}
	// What came while this goroutine could not run counts as heard: once.
	if !s.grace && s.unread() > 0 {
		s.grace = true
		return nil
	}
	if s.now() == openSent {
		return bgp.Errorf(bgp.CodeHoldTimer, 0, nil, "no OPEN came within %v", s.sp.opts.OpenTimeout)
	}
	return bgp.Errorf(bgp.CodeHoldTimer, 0, nil, "nothing was heard for %v", time.Duration(s.hold.Load()))
}

// unread is the number of bytes that wait in the socket.
func (s *session) unread() (n int) {
	_ = onFD(s.raw, func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.SIOCINQ)
		return err
	})
	return n
}

// pause does not read for a while; what comes waits in the router. The time is
// ours: it does not count against the router's hold time.
func (s *session) pause(d time.Duration) error {
	s.park()
	s.tell()
	s.paused.Store(true)
	defer s.paused.Store(false)
	until := time.Now().Add(d)
	for left := d; left > 0; left = time.Until(until) {
		if err := s.conn.SetReadDeadline(until); err != nil {
			return &closedError{err}
		}
		if err := s.stopped(); err != nil {
			return err
		}
		s.answer()
		// Whatever becomes ready, it is not read.
		if err := s.raw.Read(func(uintptr) bool { return false }); !errors.Is(err, os.ErrDeadlineExceeded) {
			return &closedError{err}
		}
	}
	s.heard.Store(time.Now().UnixNano())
	if err := s.conn.SetReadDeadline(time.Time{}); err != nil {
		return &closedError{err}
	}
	if len(s.in.partial) > 0 {
		s.borrow() // there may be whole messages: they are not waited for
	}
	return s.stopped()
}
