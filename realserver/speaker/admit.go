package speaker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/realserver/bgp"
)

// refusal is why a connection did not become a session, for the counters.
type refusal int

const (
	refusedUnknown refusal = iota
	refusedTotal
	refusedSource
	refusedProblem
	refusals
)

// String names the refusal as a label.
func (r refusal) String() string {
	switch r {
	case refusedUnknown:
		return "unknown_source"
	case refusedTotal:
		return "too_many"
	case refusedSource:
		return "too_many_of_source"
	case refusedProblem:
		return "misconfigured"
	case refusals:
	}
	return "other"
}

const (
	// probeTime bounds a health check's connection.
	probeTime = 5 * time.Second
	// probeBytes bounds what one may say.
	probeBytes = 4096
	// spareDescriptors are left for everything but connections.
	spareDescriptors = 256
	mostConnections  = 60_000 // the exchange takes 65,535 peers
)

// defaultConnections is what the process may have.
func defaultConnections() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024 - spareDescriptors
	}
	return int(min(mostConnections, max(limit.Cur, 2*spareDescriptors)-spareDescriptors))
}

// admitter takes connections of one listener.
func (s *Speaker) admitter(at where) func(*net.TCPConn) {
	return func(conn *net.TCPConn) { s.admit(at, conn) }
}

func (s *Speaker) acceptError(err error) {
	if !errors.Is(err, syscall.ECONNABORTED) {
		s.log.Warn("connection was not accepted", "error", err)
	}
}

// admit gives a connection to a goroutine, or closes it when there are too
// many: without a word, for who has too many is not listened to.
func (s *Speaker) admit(at where, conn *net.TCPConn) {
	from := addrPort(conn.RemoteAddr())
	peer := from.Addr()
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.table.listeners[at]
	var why refusal
	switch {
	case l == nil || s.closing.Load():
		_ = conn.Close()
		return
	case s.conns >= s.opts.MaxConnections:
		why = refusedTotal
	case s.pending[peer] >= s.opts.MaxPending:
		why = refusedSource
	default:
		s.conns++
		s.pending[peer]++
		s.classify(at, l, conn, from)
		return
	}
	s.refused[why]++
	_ = conn.Close()
}

// classify tells health checks from routers from strangers. s.mu is held.
func (s *Speaker) classify(at where, l *listenerConfig, conn *net.TCPConn, from netip.AddrPort) {
	peer := from.Addr()
	// To a load balancer the VIP is an address of its own: only the server
	// itself can check there.
	if s.table.probes[peer] && (l.own || s.table.own[peer]) {
		open := (&bgp.Open{AS: l.localAS, HoldTime: l.holdTime, Identifier: s.table.routerID, Capabilities: []bgp.Capability{
			bgp.Multiprotocol(bgp.IPv4Unicast), bgp.Multiprotocol(bgp.IPv6Unicast),
		}}).Append(nil)
		s.sessions.Go(func() { defer s.depart(peer, true); probe(conn, open) })
		return
	}
	n := l.match(peer)
	var owner *customer
	if n != nil {
		owner = s.customers[n.customer]
	}
	switch {
	case n == nil:
		s.reject(conn, peer, refusedUnknown, "the speaker at %s does not know the router %s", at, peer)
		return
	case n.problem != nil || owner == nil:
		s.reject(conn, peer, refusedProblem, "the router %s cannot be served now", peer)
		return
	}
	raw, err := conn.SyscallConn()
	if err != nil { // closed already
		_ = conn.Close()
		s.conns--
		s.unpend(peer)
		return
	}
	key := keyOf(n.pool, at, peer)
	rec := s.records[key]
	if rec == nil {
		rec = &record{key: key}
		s.records[key] = rec
		s.evict()
	}
	c := &session{sp: s, rec: rec, conn: conn, raw: raw, port: from.Port(), md5: n.key != "", customer: owner}
	c.n.Store(n)
	c.in.limit = bgp.MaxMessage
	c.pendingHere = true
	rec.mu.Lock()
	rec.conns = append(rec.conns, c)
	rec.mu.Unlock()
	s.sessions.Go(func() { c.run(c.connected) })
}

// reject tells a router that it may not have a session. s.mu is held.
func (s *Speaker) reject(conn *net.TCPConn, peer netip.Addr, why refusal, format string, args ...any) {
	s.refused[why]++
	s.log.Debug("connection refused", "reason", fmt.Sprintf(format, args...))
	last := (bgp.Notification{Code: bgp.CodeCease, Subcode: bgp.SubConnectionRejected}).Append(nil)
	s.sessions.Go(func() {
		defer s.depart(peer, true)
		_ = conn.SetWriteDeadline(time.Now().Add(farewell))
		_, err := conn.Write(last)
		linger(conn, err == nil)
	})
}

// unpend counts a source's connection as up or gone. s.mu is held.
func (s *Speaker) unpend(peer netip.Addr) {
	if s.pending[peer]--; s.pending[peer] <= 0 {
		delete(s.pending, peer)
	}
}

// depart forgets a connection.
func (s *Speaker) depart(peer netip.Addr, pending bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns--
	if pending {
		s.unpend(peer)
	}
}

// probe answers a health check: an OPEN, and never a session. The check takes
// its leave then.
func probe(conn *net.TCPConn, open []byte) {
	_ = conn.SetDeadline(time.Now().Add(probeTime))
	if _, err := conn.Write(open); err != nil {
		_ = conn.Close()
		return
	}
	var said [256]byte
	have := 0
	for total := 0; total < probeBytes; {
		n, err := conn.Read(said[have:])
		have += n
		total += n
		if err == nil {
			m, _, bad := bgp.Next(said[:have], bgp.MaxMessage)
			if bad == nil && m.Type == bgp.TypeOpen {
				cease := bgp.Notification{Code: bgp.CodeCease, Subcode: bgp.SubConnectionRejected}
				_, _ = conn.Write(cease.Append(nil))
				linger(conn, true)
				return
			}
			if have == len(said) || bad != nil {
				have = 0 // whatever it is, it is no OPEN
			}
			continue
		}
		if errors.Is(err, io.EOF) {
			break
		}
		break
	}
	_ = conn.Close()
}
