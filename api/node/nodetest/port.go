// Package nodetest helps tests that start daemons.
package nodetest

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// Ports that tests take: below those that Linux gives to connections
// (net.ipv4.ip_local_port_range begins at 32768), so that none of the many that
// are made meanwhile has one when a daemon comes to listen on it.
const firstPort, lastPort = 10_000, 32_000

// FreePort is a TCP port that nobody listens on, on any IPv4 address, and that
// nobody else is given as long as the test runs: not by chance, and not by this
// function in another test, whichever process runs it.
func FreePort(t testing.TB) uint16 {
	t.Helper()
	var err error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		var fd int
		if fd, err = reserve(port); err == nil {
			t.Cleanup(func() { _ = unix.Close(fd) })
			return uint16(port)
		}
	}
	t.Fatalf("no free port was found: %v", err)
	return 0
}

// reserve binds a socket that does not listen. It must be alone to get the port,
// for it does not share then; afterwards it does, with those that set
// SO_REUSEADDR, as every daemon does before it listens.
func reserve(port int) (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, err
	}
	if err = unix.Bind(fd, &unix.SockaddrInet4{Port: port}); err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err != nil {
		_ = unix.Close(fd)
		return 0, err
	}
	return fd, nil
}
