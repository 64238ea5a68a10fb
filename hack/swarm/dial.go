package swarm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// dial opens a TCP connection from source. IP_FREEBIND lets a socket be bound
// to an address that no interface has: a local route for the prefix is enough
// (ip route add local 192.0.2.0/18 dev lo).
func dial(ctx context.Context, source netip.Addr, target netip.AddrPort, key string) (*net.TCPConn, error) {
	d := net.Dialer{
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0)),
		KeepAlive: -1, // BGP has its own
		ControlContext: func(_ context.Context, _, _ string, raw syscall.RawConn) error {
			var failed error
			err := raw.Control(func(fd uintptr) { failed = prepare(int(fd), target, key) })
			return errors.Join(err, failed)
		},
	}
	conn, err := d.DialContext(ctx, "tcp", target.String())
	if err != nil {
		return nil, dialError(err, source)
	}
	return conn.(*net.TCPConn), nil
}

func prepare(fd int, target netip.AddrPort, key string) error {
	level, option := unix.SOL_IP, unix.IP_FREEBIND
	if target.Addr().Is6() {
		level, option = unix.SOL_IPV6, unix.IPV6_FREEBIND
	}
	if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
		return fmt.Errorf("IP_FREEBIND: %w", err)
	}
	if key == "" {
		return nil
	}
	return setMD5(fd, target.Addr(), key)
}

// setMD5 sets the key of RFC 2385 for one peer.
func setMD5(fd int, peer netip.Addr, key string) error {
	sig := unix.TCPMD5Sig{Keylen: uint16(len(key))}
	copy(sig.Key[:], key)
	if peer.Is4() {
		sig.Addr.Family = unix.AF_INET
		a := peer.As4()
		// struct sockaddr_in: port, then address.
		copy(sig.Addr.Data[2:], a[:])
	} else {
		sig.Addr.Family = unix.AF_INET6
		a := peer.As16()
		// struct sockaddr_in6: port, flow label, then address.
		copy(sig.Addr.Data[6:], a[:])
	}
	if err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG, &sig); err != nil {
		return fmt.Errorf("TCP_MD5SIG: %w", err)
	}
	return nil
}

// dialError says what to do about the errors that are the caller's to mend.
func dialError(err error, source netip.Addr) error {
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return &setupError{fmt.Errorf("source %s is not local any more: %w", source, err)}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return &setupError{fmt.Errorf("source %s: not permitted; run as root or with CAP_NET_ADMIN: %w", source, err)}
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return &setupError{fmt.Errorf("source %s: no more open files; raise the limit with `ulimit -n`: %w", source, err)}
	}
	return err
}

// setupError is an error that retrying cannot mend.
type setupError struct{ error }

// Unwrap gives the cause.
func (e *setupError) Unwrap() error { return e.error }
