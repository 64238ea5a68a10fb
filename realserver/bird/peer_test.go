package bird

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// peer is a customer's router with one session.
type peer struct{ conn net.Conn }

// router says where a customer's router connects from and to.
type router struct {
	from string
	to   netip.AddrPort
	as   uint16
	key  string
}

const (
	connectTimeout = 10 * time.Second
	// silence is how long nothing is heard with a wrong key: a connection
	// that came up would take a few milliseconds.
	silence = 700 * time.Millisecond
)

// connect opens a session and waits until it is up.
func (r router) connect(t *testing.T, timeout time.Duration) (*peer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(r.from)}, Control: func(_, _ string, c syscall.RawConn) error {
		if r.key == "" {
			return nil
		}
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = setKey(int(fd), r.to.Addr(), r.key) }), err)
	}}
	conn, err := d.DialContext(ctx, "tcp", r.to.String())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(timeout))
	open := message(1, binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{4}, r.as), 90), []byte{10, 9, 9, 9, 0})
	if _, err := conn.Write(append(open, message(4)...)); err != nil {
		return nil, err
	}
	p := &peer{conn}
	for {
		kind, body, err := p.read()
		switch {
		case err != nil:
			return nil, err
		case kind == 3:
			return nil, fmt.Errorf("NOTIFICATION %d/%d", body[0], body[1])
		case kind == 4:
			return p, nil
		}
	}
}

func setKey(fd int, to netip.Addr, key string) error {
	sig := unix.TCPMD5Sig{Keylen: uint16(len(key))}
	sig.Addr.Family = unix.AF_INET
	a := to.As4()
	for i, b := range append([]byte{0, 0}, a[:]...) { // port, address
		sig.Addr.Data[i] = b
	}
	copy(sig.Key[:], key)
	return unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG, &sig)
}

// must connects, or fails the test.
func (r router) must(t *testing.T) *peer {
	t.Helper()
	p, err := r.connect(t, connectTimeout)
	if err != nil {
		t.Fatalf("session from %s to %s: %v", r.from, r.to, err)
	}
	return p
}

// refused fails the test when a session comes up.
func (r router) refused(t *testing.T) error {
	t.Helper()
	p, err := r.connect(t, silence)
	if err == nil {
		p.close()
		t.Errorf("session from %s to %s with key %q came up", r.from, r.to, r.key)
	}
	return err
}

// message is a BGP message (RFC 4271 section 4.1).
func message(kind byte, parts ...[]byte) []byte {
	body := []byte{}
	for _, p := range parts {
		body = append(body, p...)
	}
	m := make([]byte, 16, 19+len(body))
	for i := range m {
		m[i] = 0xff
	}
	m = binary.BigEndian.AppendUint16(m, uint16(19+len(body)))
	return append(append(m, kind), body...)
}

func (p *peer) read() (kind byte, body []byte, err error) {
	head := make([]byte, 19)
	if _, err := io.ReadFull(p.conn, head); err != nil {
		return 0, nil, err
	}
	body = make([]byte, int(binary.BigEndian.Uint16(head[16:]))-19)
	_, err = io.ReadFull(p.conn, body)
	return head[18], body, err
}

// alive fails the test when the session has ended: BIRD would have closed it
// or said so.
func (p *peer) alive(t *testing.T) {
	t.Helper()
	for {
		_ = p.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		kind, body, err := p.read()
		switch {
		case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
			return
		case err != nil:
			t.Errorf("the session of %s ended: %v", p.conn.LocalAddr(), err)
			return
		case kind == 3:
			t.Errorf("the session of %s ended: NOTIFICATION %v", p.conn.LocalAddr(), body)
			return
		}
	}
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// close ends the session with a Cease, as a router that is shut down.
func (p *peer) close() {
	_, _ = p.conn.Write(message(3, []byte{6, 2}))
	_ = p.conn.Close()
}
