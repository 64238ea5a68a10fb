package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Community is a BGP community (RFC 1997): the AS number in the upper half,
// its value in the lower.
type Community uint32

// The well-known communities that operators may name (RFC 1997, 3765, 7999).
const (
	CommunityBlackhole   Community = 0xFFFF029A
	CommunityNoExport    Community = 0xFFFFFF01
	CommunityNoAdvertise Community = 0xFFFFFF02
	CommunityNoPeer      Community = 0xFFFFFF04
)

// wellKnown are the names of communities, in the order in which they are
// offered.
func wellKnown() []struct {
	name  string
	value Community
} {
	return []struct {
		name  string
		value Community
	}{
		{"blackhole", CommunityBlackhole}, {"no-export", CommunityNoExport},
		{"no-advertise", CommunityNoAdvertise}, {"no-peer", CommunityNoPeer},
	}
}

// CommunityNames lists the names of well-known communities.
func CommunityNames() []string {
	var names []string
	for _, w := range wellKnown() {
		names = append(names, w.name)
	}
	return names
}

// ParseCommunity reads "AS:VALUE" or the name of a well-known community.
func ParseCommunity(s string) (Community, error) {
	for _, w := range wellKnown() {
		if s == w.name {
			return w.value, nil
		}
	}
	parts, ok := numbers(s, 2, 16)
	if !ok {
		return 0, fmt.Errorf("%q is not a community; write AS:VALUE with numbers up to 65535, such as 65535:666, or one of %s", clip(s), strings.Join(CommunityNames(), ", "))
	}
	return Community(parts[0]<<16 | parts[1]), nil
}

// String renders the community as AS:VALUE.
func (c Community) String() string { return fmt.Sprintf("%d:%d", uint32(c)>>16, uint32(c)&0xFFFF) }

// Name is the name of a well-known community, and AS:VALUE of others.
func (c Community) Name() string {
	for _, w := range wellKnown() {
		if c == w.value {
			return w.name
		}
	}
	return c.String()
}

// CommunityName renders a community's text for people.
func CommunityName(text string) string {
	c, err := ParseCommunity(text)
	if err != nil {
		return text
	}
	return c.Name()
}

// LargeCommunity is a large BGP community (RFC 8092).
type LargeCommunity [3]uint32

// ParseLargeCommunity reads "A:B:C".
func ParseLargeCommunity(s string) (LargeCommunity, error) {
	parts, ok := numbers(s, 3, 32)
	if !ok {
		return LargeCommunity{}, fmt.Errorf("%q is not a large community; write A:B:C with numbers up to 4294967295, such as 64500:1:2", clip(s))
	}
	return LargeCommunity{uint32(parts[0]), uint32(parts[1]), uint32(parts[2])}, nil
}

// String renders the community as A:B:C.
func (c LargeCommunity) String() string { return fmt.Sprintf("%d:%d:%d", c[0], c[1], c[2]) }

// numbers splits n plain decimals of so many bits at colons: the canonical
// form only, so that one community has one text (RFC 8092 section 5).
func numbers(s string, n, bits int) ([]uint64, bool) {
	texts := strings.Split(s, ":")
	if len(texts) != n {
		return nil, false
	}
	values := make([]uint64, n)
	for i, text := range texts {
		v, err := strconv.ParseUint(text, 10, bits)
		if err != nil || strconv.FormatUint(v, 10) != text {
			return nil, false
		}
		values[i] = v
	}
	return values, true
}

// canonical sorts communities, writes each in one way and drops what is there
// twice (RFC 1997 has a set). What cannot be read stays, for Check to report.
func canonical[T fmt.Stringer](list []string, parse func(string) (T, error)) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, text := range list {
		out[i] = text
		if c, err := parse(text); err == nil {
			out[i] = c.String()
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
