package speaker

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/tcpmd5"
)

// router is a customer's router: what it connects with and says.
type router struct {
	from string
	to   netip.AddrPort
	key  string
	ttl  int // of its packets; 0: the kernel's
	rbuf int // receive buffer; 0: the kernel's
	open bgp.Open
}

// link is a connection of a router.
type link struct {
	net.Conn
	t     *testing.T
	buf   []byte
	limit int
}

// router makes one that connects to the first VIP.
func (b *bench) router(from string, as uint32) router {
	to := netip.AddrPortFrom(netip.MustParseAddr(vipA), b.port)
	return router{from: from, to: to, open: bgp.Open{AS: as, HoldTime: 90 * time.Second, Identifier: netip.MustParseAddr("10.9.9.9"),
		Capabilities: []bgp.Capability{bgp.Multiprotocol(bgp.IPv4Unicast), bgp.Multiprotocol(bgp.IPv6Unicast), {Code: bgp.CapRouteRefresh}, {Code: bgp.CapEnhancedRefresh}, {Code: bgp.CapExtendedMessage}}}}
}

// dial connects.
func (r router) dial(t *testing.T, timeout time.Duration) (*link, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(r.from)}, KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		return onFD(c, func(fd int) error {
			var errs []error
			if r.key != "" {
				errs = append(errs, tcpmd5.SetKey(fd, netip.PrefixFrom(r.to.Addr(), r.to.Addr().BitLen()), r.key))
			}
			if r.ttl != 0 {
				level, option := unix.IPPROTO_IP, unix.IP_TTL
				if r.to.Addr().Is6() {
					level, option = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
				}
				errs = append(errs, unix.SetsockoptInt(fd, level, option, r.ttl))
			}
			if r.rbuf != 0 {
				errs = append(errs, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, r.rbuf))
			}
			return errors.Join(errs...)
		})
	}}
	conn, err := d.DialContext(ctx, "tcp", r.to.String())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &link{Conn: conn, t: t, limit: bgp.MaxMessage}, nil
}

// patience bounds what must happen soon on a machine with little time for a
// test: GoBGP alone waits 3 s before it connects, and 7 s more when that fails.
const patience = time.Minute

// connect opens a session and waits until it is up.
func (r router) connect(t *testing.T, timeout time.Duration) (*link, error) {
	t.Helper()
	l, err := r.dial(t, timeout)
	if err != nil {
		return nil, err
	}
	if _, err := l.Write(bgp.AppendKeepalive(r.open.Append(nil))); err != nil {
		return nil, err
	}
	for {
		m, err := l.read(timeout)
		switch {
		case err != nil:
			return nil, err
		case m.Type == bgp.TypeNotification:
			n, _ := bgp.DecodeNotification(m.Body)
			return nil, &remoteError{n}
		case m.Type == bgp.TypeKeepalive:
			l.limit = bgp.MaxExtendedMessage
			return l, nil
		}
	}
}

// must connects, or fails the test.
func (r router) must(t *testing.T) *link {
	t.Helper()
	l, err := r.connect(t, patience)
	if err != nil {
		t.Fatalf("session from %s to %s: %v", r.from, r.to, err)
	}
	return l
}

// refused fails the test unless the speaker answers with a NOTIFICATION.
func (r router) refused(t *testing.T, code bgp.Code, sub uint8) {
	t.Helper()
	l, err := r.connect(t, patience)
	if err == nil {
		l.Close()
		t.Errorf("the session from %s came up", r.from)
		return
	}
	want := bgp.Notification{Code: code, Subcode: sub}
	if n, ok := errors.AsType[*remoteError](err); !ok || n.Code != code || n.Subcode != sub {
		t.Errorf("the session from %s ended with %v, not %s", r.from, err, want)
	}
}

// silent fails the test unless nothing is heard at all: the kernel drops the
// packets.
func (r router) silent(t *testing.T) {
	t.Helper()
	l, err := r.connect(t, 400*time.Millisecond)
	if err == nil {
		l.Close()
		t.Errorf("the session from %s came up", r.from)
	} else if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the session from %s ended with %v, not in silence", r.from, err)
	}
}

// read reads a message.
func (l *link) read(timeout time.Duration) (bgp.Message, error) {
	_ = l.SetReadDeadline(time.Now().Add(timeout))
	for {
		m, n, err := bgp.Next(l.buf, l.limit)
		if err != nil {
			return m, err
		}
		if n > 0 {
			m.Body = append([]byte(nil), m.Body...)
			l.buf = l.buf[n:]
			return m, nil
		}
		chunk := make([]byte, 64<<10)
		k, err := l.Read(chunk)
		if err != nil {
			return m, err
		}
		l.buf = append(l.buf, chunk[:k]...)
	}
}

// send writes messages, or fails the test.
func (l *link) send(message []byte) {
	l.t.Helper()
	_ = l.SetWriteDeadline(time.Now().Add(patience))
	if _, err := l.Write(message); err != nil {
		l.t.Errorf("write: %v", err)
	}
}

// until reads up to a message of a type.
func (l *link) until(t bgp.Type) bgp.Message {
	l.t.Helper()
	for {
		m, err := l.read(patience)
		if err != nil {
			l.t.Fatalf("waiting for %s: %v", t, err)
		}
		if m.Type == t {
			return m
		}
		if m.Type == bgp.TypeNotification {
			n, _ := bgp.DecodeNotification(m.Body)
			l.t.Fatalf("waiting for %s: %s came", t, n)
		}
	}
}

// ends fails the test unless a NOTIFICATION and then the end of the
// connection comes.
func (l *link) ends(code bgp.Code, sub uint8) bgp.Notification {
	l.t.Helper()
	n, err := l.last()
	if err != nil {
		l.t.Fatalf("waiting for %s: %v", bgp.Notification{Code: code, Subcode: sub}, err)
	}
	if n.Code != code || n.Subcode != sub {
		l.t.Errorf("the session ended with %s, not %s", n, bgp.Notification{Code: code, Subcode: sub})
	}
	if m, err := l.read(patience); err == nil {
		l.t.Errorf("%s came after the NOTIFICATION", m.Type)
	}
	return n
}

// last reads up to a NOTIFICATION.
func (l *link) last() (bgp.Notification, error) {
	for {
		m, err := l.read(patience)
		if err != nil {
			return bgp.Notification{}, err
		}
		if m.Type == bgp.TypeNotification {
			return bgp.DecodeNotification(m.Body)
		}
	}
}

// alive fails the test when the session has ended: a KEEPALIVE is taken, and
// a route that is asked for again is answered or ignored.
func (l *link) alive() {
	l.t.Helper()
	l.send(bgp.AppendKeepalive(nil))
	_ = l.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	for {
		m, err := l.read(30 * time.Millisecond)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return
		case err != nil:
			l.t.Errorf("the session of %s ended: %v", l.LocalAddr(), err)
			return
		case m.Type == bgp.TypeNotification:
			n, _ := bgp.DecodeNotification(m.Body)
			l.t.Errorf("the session of %s ended: %s", l.LocalAddr(), n)
			return
		}
	}
}

// keepUp sends KEEPALIVEs until the test ends.
func (l *link) keepUp() {
	ctx := l.t.Context()
	go func() {
		for ctx.Err() == nil {
			if _, err := l.Write(bgp.AppendKeepalive(nil)); err != nil {
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
}

// announce is an UPDATE for prefixes with one path.
func announce(as uint32, hop string, prefixes ...string) []byte {
	var nlri []byte
	for _, p := range prefixes {
		nlri = bgp.AppendPrefix(nlri, netip.MustParsePrefix(p))
	}
	attrs := bgp.AppendNextHop(bgp.AppendASPath(bgp.AppendOrigin(nil, 0), as), netip.MustParseAddr(hop))
	return bgp.AppendUpdate(nil, nil, attrs, nlri)
}

// many are n different /32 in UPDATEs of up to 200.
func many(as uint32, n int) (messages []byte) {
	attrs := bgp.AppendNextHop(bgp.AppendASPath(bgp.AppendOrigin(nil, 0), as), netip.MustParseAddr("10.9.9.9"))
	for i := 0; i < n; {
		var nlri []byte
		for k := 0; k < 200 && i < n; k++ {
			nlri = bgp.AppendPrefix(nlri, netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}), 32))
			i++
		}
		messages = bgp.AppendUpdate(messages, nil, attrs, nlri)
	}
	return messages
}

// forget makes the kernel forget a connection without a packet to the other
// side, as a power cut does.
func forget(t *testing.T, l *link) {
	t.Helper()
	raw, err := l.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := onFD(raw, func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, 1) }); err != nil {
		t.Skipf("needs CAP_NET_ADMIN: %v", err)
	}
	_ = l.Close()
}
