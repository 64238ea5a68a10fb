package bgp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Community is a value of RFC 1997, AS<<16 | value.
type Community uint32

// wellKnownCommunities are the names that operators may write.
var wellKnownCommunities = [...]struct {
	name  string
	value Community
}{
	{"graceful-shutdown", 0xffff0000}, // RFC 8326
	{"blackhole", 0xffff029a},         // RFC 7999
	{"no-export", 0xffffff01},         // RFC 1997
	{"no-advertise", 0xffffff02},      // RFC 1997
	{"no-export-subconfed", 0xffffff03},
	{"no-peer", 0xffffff04}, // RFC 3765
}

// String writes "AS:VALUE".
func (c Community) String() string {
	return strconv.Itoa(int(c>>16)) + ":" + strconv.Itoa(int(c&0xffff))
}

// ParseCommunity reads "AS:VALUE" or a well-known name.
func ParseCommunity(s string) (Community, error) {
	for _, k := range wellKnownCommunities {
		if s == k.name {
			return k.value, nil
		}
	}
	parts, err := parseNumbers(s, 2, 16)
	if err != nil {
		return 0, fmt.Errorf("community %q: %w; write AS:VALUE or a name such as blackhole", s, err)
	}
	return Community(parts[0]<<16 | parts[1]), nil
}

// LargeCommunity is a value of RFC 8092.
type LargeCommunity [12]byte

// String writes "A:B:C".
func (c LargeCommunity) String() string {
	return fmt.Sprintf("%d:%d:%d", binary.BigEndian.Uint32(c[:]), binary.BigEndian.Uint32(c[4:]), binary.BigEndian.Uint32(c[8:]))
}

// ParseLargeCommunity reads "A:B:C".
func ParseLargeCommunity(s string) (LargeCommunity, error) {
	parts, err := parseNumbers(s, 3, 32)
	if err != nil {
		return LargeCommunity{}, fmt.Errorf("large community %q: %w; write A:B:C", s, err)
	}
	var c LargeCommunity
	for i, p := range parts {
		binary.BigEndian.PutUint32(c[4*i:], p)
	}
	return c, nil
}

func parseNumbers(s string, n, bits int) ([]uint32, error) {
	fields := strings.Split(s, ":")
	if len(fields) != n {
		return nil, fmt.Errorf("%d numbers, not %d", len(fields), n)
	}
	var parts []uint32
	for _, f := range fields {
		x, err := strconv.ParseUint(f, 10, bits)
		if err != nil {
			return nil, fmt.Errorf("%q is no number of %d bits", f, bits)
		}
		parts = append(parts, uint32(x))
	}
	return parts, nil
}

// extendedName names route targets and route origins (RFC 4360, RFC 5668),
// and writes all else as it stands.
func extendedName(v [8]byte) string {
	name, ok := map[byte]string{2: "rt", 3: "ro"}[v[1]]
	if ok {
		switch v[0] &^ 0x40 { // the bit tells what is transitive
		case 0:
			return fmt.Sprintf("%s:%d:%d", name, binary.BigEndian.Uint16(v[2:]), binary.BigEndian.Uint32(v[4:]))
		case 1:
			return fmt.Sprintf("%s:%s:%d", name, netip.AddrFrom4([4]byte(v[2:])), binary.BigEndian.Uint16(v[6:]))
		case 2:
			return fmt.Sprintf("%s:%d:%d", name, binary.BigEndian.Uint32(v[2:]), binary.BigEndian.Uint16(v[6:]))
		}
	}
	return fmt.Sprintf("generic:%08x:%08x", binary.BigEndian.Uint32(v[:]), binary.BigEndian.Uint32(v[4:]))
}
