package bgpcheck

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/peerage/peerage/api"
)

const (
	// defaultTimeout bounds a check whose context has no deadline.
	defaultTimeout = 5 * time.Second
	// leaveTimeout bounds the leave-taking after a good check.
	leaveTimeout = 250 * time.Millisecond
	// leaveBytes bounds what is read while leaving.
	leaveBytes = 64 << 10
)

// Target is what is checked.
type Target struct {
	// Addr is the speaker's address and port.
	Addr netip.AddrPort
	// Source is the address to connect from; the zero address: any.
	Source netip.Addr
	// LocalAS is the AS number that the speaker must announce; 0: any.
	LocalAS uint32
	// Type says how much must work; empty: bgp.
	Type api.HealthCheckType
}

// Result is what a good check saw.
type Result struct {
	// RTT is how long the check took: until the OPEN for bgp, until the
	// connection for tcp.
	RTT time.Duration
	// PeerAS, RouterID and HoldTime are the speaker's, from its OPEN; zero
	// for tcp.
	PeerAS   uint32
	RouterID netip.Addr
	HoldTime time.Duration
}

// Check connects, waits for the speaker's OPEN and takes its leave. It ends
// with ctx, at the latest after five seconds when that has no deadline. A
// failure is an *Error, except when ctx was cancelled: then it is the
// context's error, and says nothing about the speaker.
func Check(ctx context.Context, t Target) (Result, error) {
	if _, limited := ctx.Deadline(); !limited {
		limited, cancel := context.WithTimeout(ctx, defaultTimeout)
		defer cancel()
		ctx = limited
	}
	result, err := check(ctx, t)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return Result{}, ctx.Err()
	}
	return result, err
}

func check(ctx context.Context, t Target) (Result, error) {
	begin := time.Now()
	conn, err := dial(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer conn.Close()
	// The deadline is absolute: a byte now and then does not extend it.
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return Result{}, readError(0, err)
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	if t.Type == api.HealthCheckTCP {
		result := Result{RTT: time.Since(begin)}
		leave(conn, nil)
		return result, nil
	}
	o, err := readOpen(conn)
	if err != nil {
		return Result{}, err
	}
	result := Result{RTT: time.Since(begin), PeerAS: o.as, RouterID: o.id, HoldTime: time.Duration(o.holdTime) * time.Second}
	leave(conn, farewell())
	if t.LocalAS != 0 && t.LocalAS != o.as {
		return result, fail(KindAS, "the speaker's AS number is %d, and the pool's is %d", o.as, t.LocalAS)
	}
	return result, nil
}

func dial(ctx context.Context, t Target) (*net.TCPConn, error) {
	if !t.Addr.IsValid() || t.Addr.Port() == 0 {
		return nil, fail(KindLocal, "there is no address and port to check")
	}
	dialer := net.Dialer{KeepAlive: -1, Control: lateSourcePort}
	if t.Source.IsValid() {
		if t.Source.Is4() != t.Addr.Addr().Is4() {
			return nil, fail(KindLocal, "%v cannot be checked from %v: the families differ", t.Addr, t.Source)
		}
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.Source, 0))
	}
	conn, err := dialer.DialContext(ctx, "tcp", t.Addr.String())
	if err != nil {
		return nil, dialError(t, err)
	}
	return conn.(*net.TCPConn), nil
}

// readOpen reads the speaker's first message, which must be a good OPEN.
func readOpen(r io.Reader) (open, error) {
	buf := make([]byte, maxMessage)
	if err := readFull(r, buf[:headerLen], 0); err != nil {
		return open{}, err
	}
	h, err := parseHeader(buf[:headerLen])
	if err != nil {
		return open{}, err
	}
	body := buf[headerLen:h.length]
	if err := readFull(r, body, headerLen); err != nil {
		return open{}, err
	}
	if h.kind == typeNotification {
		return open{}, notification(body)
	}
	return parseOpen(body)
}

// readFull fills b, of which before bytes of the message came already. While
// it reads the marker it gives up on the first byte that is no BGP.
func readFull(r io.Reader, b []byte, before int) error {
	for have := 0; have < len(b); {
		n, err := r.Read(b[have:])
		have += n
		if before == 0 {
			if err := checkMarker(b[:have]); err != nil {
				return err
			}
		}
		if err != nil && have < len(b) {
			return readError(before+have, err)
		}
	}
	return nil
}

// leave ends the connection so that the speaker sees a clean end: the
// farewell, then FIN, then what it still sends is read until it closes too,
// because closing with unread bytes would send a RST. Whether that works does
// not change what the check found.
func leave(conn *net.TCPConn, farewell []byte) {
	if err := conn.SetDeadline(time.Now().Add(leaveTimeout)); err != nil {
		return
	}
	if _, err := conn.Write(farewell); err != nil {
		return
	}
	if err := conn.CloseWrite(); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, leaveBytes))
}
