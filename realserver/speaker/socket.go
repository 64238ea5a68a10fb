package speaker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/tcpmd5"
)

// acceptPause is how long a listener rests when the process has no descriptors
// left.
const acceptPause = 200 * time.Millisecond

// socket is one listening address.
type socket struct {
	at   where
	ln   *net.TCPListener
	raw  syscall.RawConn
	done chan struct{} // closed when nothing is accepted any more
}

// openSocket listens. The keys are set before anybody can connect.
func openSocket(ctx context.Context, at where, keys []keyOp) (*socket, error) {
	network := "tcp4"
	if at.Addr().Is6() {
		network = "tcp6" // with IPV6_V6ONLY
	}
	lc := net.ListenConfig{
		// Neither keepalives nor Multipath TCP: a session has its own timers,
		// and its socket may move to another machine.
		KeepAlive: -1,
		Control: func(_, _ string, c syscall.RawConn) error {
			return onFD(c, func(fd int) error { return prepare(fd, at, keys) })
		},
	}
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(ctx, network, at.String())
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &socket{at: at, ln: ln.(*net.TCPListener), done: make(chan struct{})}
	if s.raw, err = s.ln.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", at, err), ln.Close())
	}
	return s, nil
}

func onFD(c syscall.RawConn, f func(fd int) error) error {
	var err error
	return errors.Join(c.Control(func(fd uintptr) { err = f(int(fd)) }), err)
}

// prepare sets what must be there before the socket listens. Packets leave with
// the greatest TTL from the SYN-ACK on: the router may check it (RFC 5082).
func prepare(fd int, at where, keys []keyOp) error {
	var err error
	if at.Addr().Is4() {
		err = errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1),
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, 255))
	} else {
		err = errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1),
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 255))
	}
	for _, k := range keys {
		err = errors.Join(err, tcpmd5.SetKey(fd, k.prefix, k.key))
	}
	return err
}

// setKey sets or takes away one key.
func (s *socket) setKey(k keyOp) error {
	return onFD(s.raw, func(fd int) error {
		err := tcpmd5.SetKey(fd, k.prefix, k.key)
		if k.key == "" && errors.Is(err, unix.ENOENT) {
			return nil // it was never set
		}
		return err
	})
}

// saveSYN has the kernel keep the header of each SYN, or not.
func (s *socket) saveSYN(on bool) error {
	value := 0
	if on {
		value = 1
	}
	return onFD(s.raw, func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_SAVE_SYN, value) })
}

// accept hands connections to f until the listener is closed.
func (s *socket) accept(f func(*net.TCPConn), report func(error)) {
	defer close(s.done)
	for {
		conn, err := s.ln.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no descriptors or no memory; a reset one is no error
			report(fmt.Errorf("accept on %s: %w", s.at, err))
			time.Sleep(acceptPause)
		default:
			f(conn)
		}
	}
}

// close stops listening; connections stay.
func (s *socket) close() error {
	err := s.ln.Close()
	<-s.done
	return err
}

// leastTTL drops packets of a connection that came through more than hops
// routers (RFC 5082 section 3); 0 hops: none.
func leastTTL(raw syscall.RawConn, v4 bool, hops int) error {
	level, option, least := unix.IPPROTO_IP, unix.IP_MINTTL, 0
	if !v4 {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT
	}
	if hops > 0 {
		least = 256 - hops // one hop away: 255
	}
	return onFD(raw, func(fd int) error {
		if err := unix.SetsockoptInt(fd, level, option, least); err != nil {
			return fmt.Errorf("TTL security: %w", err)
		}
		return nil
	})
}

// guard is leastTTL for a new connection. It fails when the SYN came from
// further away: what came before the kernel was told is not to be believed.
func guard(raw syscall.RawConn, v4 bool, hops int) error {
	if err := leastTTL(raw, v4, hops); err != nil {
		return err
	}
	return onFD(raw, func(fd int) error {
		if ttl, known := synTTL(fd, v4); known && ttl < 256-hops {
			return bgp.Errorf(bgp.CodeCease, bgp.SubConnectionRejected, nil, "the router is more than %d hops away: its TTL is %d", hops, ttl)
		}
		return nil
	})
}

// synTTL reads the TTL of the SYN that made a connection; it can be read once.
func synTTL(fd int, v4 bool) (ttl int, known bool) {
	var header [128]byte
	n := uint32(len(header))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_SAVED_SYN,
		uintptr(unsafe.Pointer(&header[0])), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 || n < 40 {
		return 0, false
	}
	if v4 {
		return int(header[8]), true // RFC 791 section 3.1
	}
	return int(header[7]), true // RFC 8200 section 3
}

// addrPort is the address of a connection's end, without the zone or the form
// that the net package gives it.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
