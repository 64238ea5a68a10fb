// Package nodetest helps tests that start daemons.
package nodetest

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
)

// Ports that tests take: below those that Linux gives to connections
// (net.ipv4.ip_local_port_range begins at 32768), so that none of the many that
// are made meanwhile has one when a daemon comes to listen on it.
const firstPort, lastPort = 10_000, 32_000

// FreePort is a TCP port that nobody listens on, on any IPv4 address, and that
// nobody is given by chance.
func FreePort(t testing.TB) uint16 {
	t.Helper()
	var err error
	for range 100 {
		port := uint16(firstPort + rand.IntN(lastPort-firstPort))
		var l *net.TCPListener
		if l, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.IPv4Unspecified(), port))); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatalf("no free port was found: %v", err)
	return 0
}
