package swarm

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
)

// speaker is a fake BGP speaker: it serves each connection with a script.
type speaker struct {
	listener net.Listener
	target   netip.AddrPort
	served   sync.WaitGroup

	mu    sync.Mutex
	conns []*peer
}

// peer is the speaker's end of one connection.
type peer struct {
	net.Conn
	t   *testing.T
	buf []byte

	mu   sync.Mutex
	open *bgp.Open
	last []byte // the last NOTIFICATION received
}

// startSpeaker listens on a free port of address and serves until the end of
// the test.
func startSpeaker(t *testing.T, address string, script func(p *peer)) *speaker {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, l, script)
}

func serve(t *testing.T, l net.Listener, script func(p *peer)) *speaker {
	t.Helper()
	s := &speaker{listener: l, target: netip.MustParseAddrPort(l.Addr().String())}
	s.served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p := &peer{Conn: c, t: t}
			s.mu.Lock()
			s.conns = append(s.conns, p)
			s.mu.Unlock()
			s.served.Go(func() { script(p) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		for _, p := range s.peers() {
			p.Close()
		}
		s.served.Wait()
	})
	return s
}

func (s *speaker) peers() []*peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*peer(nil), s.conns...)
}

// next reads a message.
func (p *peer) next() (bgp.Message, error) {
	for {
		m, n, err := bgp.Next(p.buf, bgp.MaxExtendedMessage)
		if err != nil {
			return m, err
		}
		if n > 0 {
			m.Body = append([]byte(nil), m.Body...)
			p.buf = p.buf[n:]
			if m.Type == bgp.TypeNotification {
				p.mu.Lock()
				p.last = m.Body
				p.mu.Unlock()
			}
			return m, nil
		}
		b := make([]byte, 64<<10)
		if n, err = p.Read(b); err != nil {
			return m, err
		}
		p.buf = append(p.buf, b[:n]...)
	}
}

// notification is what the customer said last.
func (p *peer) notification() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := bgp.DecodeNotification(p.last)
	if err != nil {
		return ""
	}
	return n.String()
}

// offered is the customer's OPEN.
func (p *peer) offered() *bgp.Open {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// drain reads until the connection ends, without an answer.
func (p *peer) drain() {
	for {
		if _, err := p.next(); err != nil {
			return
		}
	}
}

// establish brings the session up as a router with an identifier.
func (p *peer) establish(id string, hold time.Duration, caps ...bgp.Capability) bool {
	o := bgp.Open{AS: 65000, HoldTime: hold, Identifier: netip.MustParseAddr(id), Capabilities: append(caps,
		bgp.Multiprotocol(bgp.IPv4Unicast), bgp.Multiprotocol(bgp.IPv6Unicast))}
	if _, err := p.Write(bgp.AppendKeepalive(o.Append(nil))); err != nil {
		return false
	}
	for {
		m, err := p.next()
		if err != nil {
			return false
		}
		switch m.Type {
		case bgp.TypeOpen:
			o, err := bgp.DecodeOpen(m.Body)
			if err != nil {
				p.t.Errorf("the customer's OPEN: %v", err)
				return false
			}
			p.mu.Lock()
			p.open = o
			p.mu.Unlock()
		case bgp.TypeKeepalive:
			return true
		}
	}
}

// serveUpdates answers KEEPALIVEs and hands on every other message until the
// connection ends.
func (p *peer) serveUpdates(use func(bgp.Message)) {
	for {
		m, err := p.next()
		if err != nil {
			return
		}
		if m.Type == bgp.TypeKeepalive {
			if _, err := p.Write(bgp.AppendKeepalive(nil)); err != nil {
				return
			}
		} else if use != nil {
			use(m)
		}
	}
}

// polite is the script of a speaker that does everything right.
func polite(id string) func(p *peer) {
	return func(p *peer) {
		if p.establish(id, 9*time.Second) {
			p.serveUpdates(nil)
		}
	}
}
