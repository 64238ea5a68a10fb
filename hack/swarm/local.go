package swarm

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// checkLocal makes sure that the first and the last source of each prefix are
// local: packets from others would leave, but no answer would come back.
func (s *Sources) checkLocal() error {
	for i := range s.ranges {
		used := (s.n - i + len(s.ranges) - 1) / len(s.ranges)
		if used <= 0 {
			continue
		}
		first := s.ranges[i].first
		for _, a := range []netip.Addr{first, offset(first, used-1)} {
			ok, err := isLocal(a)
			if err != nil {
				return &setupError{fmt.Errorf("source %s: %w", a, err)}
			}
			if !ok {
				return notLocal(a, s.ranges[i].prefix)
			}
		}
	}
	return nil
}

func notLocal(a netip.Addr, p netip.Prefix) error {
	return &setupError{fmt.Errorf("source %s is not local: use --add-routes lo, or add it with `ip route add local %s dev lo`", a, p)}
}

// spareFiles are those that are open besides the sessions.
const spareFiles = 64

// checkFiles makes sure that each session can have a socket. The runtime has
// raised the limit as far as it may.
func checkFiles(n int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if uint64(n+spareFiles) > limit.Cur {
		return &setupError{fmt.Errorf("%d sessions need as many open files, but the limit is %d; raise it with `ulimit -Hn %d`, or use fewer sessions", n, limit.Cur, n+spareFiles)}
	}
	return nil
}

// isLocal tells whether this machine takes packets to an address. For IPv4 the
// kernel allows to bind to exactly those.
func isLocal(a netip.Addr) (bool, error) {
	if a.Is6() {
		f, err := os.Open("/proc/net/ipv6_route")
		if err != nil {
			return true, nil // not known; the sessions will tell
		}
		defer f.Close()
		return hasLocalRoute(f, a), nil
	}
	l, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	switch {
	case err == nil:
		return true, l.Close()
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return false, nil
	}
	return false, err
}

// rtfLocal is RTF_LOCAL of linux/ipv6_route.h.
const rtfLocal = 0x80000000

// hasLocalRoute looks for a local route to an address in the format of
// /proc/net/ipv6_route: destination, its length, seven more columns, of which
// the last are the flags and the device.
func hasLocalRoute(r io.Reader, a netip.Addr) bool {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 10 {
			continue
		}
		b, errB := hex.DecodeString(f[0])
		bits, errBits := strconv.ParseUint(f[1], 16, 8)
		flags, errFlags := strconv.ParseUint(f[8], 16, 32)
		to, ok := netip.AddrFromSlice(b)
		if errB != nil || errBits != nil || errFlags != nil || !ok || flags&rtfLocal == 0 {
			continue
		}
		if p, err := to.Prefix(int(bits)); err == nil && p.Contains(a) {
			return true
		}
	}
	return false
}
