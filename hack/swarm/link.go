package swarm

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/realserver/bgp"
)

// link is one TCP connection of a session, with what the session machine knows
// of it. It exists as long as the connection.
type link struct {
	conn    *net.TCPConn
	raw     syscall.RawConn
	state   State         // OpenSent or Established
	opened  bool          // the peer's OPEN was received
	v4, v6  bool          // the families that both sides offered
	limit   int           // of a message
	partial []byte        // of a message whose rest has not arrived
	hold    time.Duration // negotiated; 0: no timers
	openBy  Seconds       // Established must be reached by then
	heard   Seconds       // last message from the peer
	said    Seconds       // last KEEPALIVE to it
	got     tally         // of the read under way

	sender sync.WaitGroup // goroutines that send routes

	// Guarded by the session's mu.
	busy       bool   // a sender runs
	closing    bool   // no new sender
	reset      bool   // to be closed and opened anew
	failed     error  // why a sender gave up
	ackedBytes uint64 // acknowledged by the peer, as of the last look
}

// tally counts received routes.
type tally struct{ announced, withdrawn uint64 }

func newLink(ctx context.Context, s *session) (*link, error) {
	key := ""
	if s.record.MD5 {
		key = s.swarm.cfg.MD5
	}
	conn, err := dial(ctx, s.record.Source, s.target, key)
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &link{conn: conn, raw: raw, state: OpenSent, limit: bgp.MaxMessage}, nil
}

// interrupt wakes the reader, and gives a writer a short time.
func (l *link) interrupt() {
	_ = l.conn.SetReadDeadline(time.Unix(1, 0))
	_ = l.conn.SetWriteDeadline(time.Now().Add(farewellTimeout))
}

// writeTimeout bounds every write: a peer that does not read is given up.
const writeTimeout = 30 * time.Second

var errNotReading = errors.New("the peer does not read: a write timed out")

func (l *link) write(b []byte) error { return l.writeWithin(writeTimeout, b) }

func (l *link) writeWithin(limit time.Duration, b []byte) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	return l.push(b)
}

// push writes within the deadline that is set.
func (l *link) push(b []byte) error {
	_, err := l.conn.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errNotReading
	}
	return err
}

// buffers are lent to sessions that have something to read or to send.
var buffers = sync.Pool{New: func() any { return new([bgp.MaxExtendedMessage]byte) }}

// read hands the bytes that there are to use, after what was kept. If there
// are none it waits for some, or returns nil at once unless wait is set. No
// buffer is held while waiting.
func (l *link) read(wait bool, use func([]byte) error) error {
	var failed error
	err := l.raw.Read(func(fd uintptr) bool {
		b := buffers.Get().(*[bgp.MaxExtendedMessage]byte)
		defer buffers.Put(b)
		held := copy(b[:], l.partial)
		n, err := unix.Read(int(fd), b[held:])
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			return !wait
		case err != nil:
			failed = err
		case n == 0:
			failed = io.EOF
		default:
			failed = use(b[:held+n])
		}
		return true
	})
	return errors.Join(failed, err)
}

// keep holds on to the beginning of a message.
func (l *link) keep(b []byte) {
	if len(b) == 0 {
		l.partial = nil
		return
	}
	l.partial = append(make([]byte, 0, len(b)), b...)
}

// acknowledged is how many bytes the peer's kernel has acknowledged, and how
// long ago its last acknowledgement arrived, of these or of none.
func (l *link) acknowledged() (bytes uint64, ago time.Duration, ok bool) {
	var info *unix.TCPInfo
	_ = l.raw.Control(func(fd uintptr) {
		info, _ = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if info == nil {
		return 0, 0, false
	}
	return info.Bytes_acked, time.Duration(info.Last_ack_recv) * time.Millisecond, true
}
