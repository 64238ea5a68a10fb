package tcpmd5

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// SetKey sets the key of a prefix of peers on a socket; an empty key takes it
// away. Connections that were accepted before keep the key that they have.
func SetKey(fd int, prefix netip.Prefix, key string) error {
	sig := unix.TCPMD5Sig{Flags: unix.TCP_MD5SIG_FLAG_PREFIX, Prefixlen: uint8(prefix.Bits()), Keylen: uint16(len(key))}
	if len(key) > len(sig.Key) {
		return fmt.Errorf("key of %s: longer than %d bytes", prefix, len(sig.Key))
	}
	copy(sig.Key[:], key)
	// The address is that of struct sockaddr_in (port, address) or
	// sockaddr_in6 (port, flow, address), behind the family.
	addr := prefix.Masked().Addr()
	offset := 2
	sig.Addr.Family = unix.AF_INET
	if addr.Is6() {
		sig.Addr.Family, offset = unix.AF_INET6, 6
	}
	copy(sig.Addr.Data[offset:], addr.AsSlice())
	if err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG_EXT, &sig); err != nil {
		return fmt.Errorf("key of %s: %w", prefix, err)
	}
	return nil
}
