package bgpcheck

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// lateSourcePort leaves the choice of the source port to connect: chosen at
// bind, a port is taken for all destinations at once, and a load balancer
// that checks hundreds of servers a second would run out of them.
func lateSourcePort(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		// Without it the check works as well, with fewer ports.
		_ = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
}
