package swarm

import (
	"fmt"
	"math/big"
	"net/netip"
)

// Sources hands out source addresses from prefixes, in turn, so that a mix of
// families is spread evenly over the sessions. The network address of a prefix
// and the last address of an IPv4 prefix are not used.
type Sources struct {
	ranges []sourceRange
	n      int // how many are handed out
}

type sourceRange struct {
	prefix netip.Prefix
	first  netip.Addr
	count  int // bounded by maxPerPrefix
}

// maxPerPrefix bounds what one prefix may hold; nobody needs more sessions.
const maxPerPrefix = 1 << 20

// NewSources checks that the prefixes hold n addresses when handed out in turn.
func NewSources(prefixes []netip.Prefix, n int) (*Sources, error) {
	if len(prefixes) == 0 {
		return nil, fmt.Errorf("no source prefix given; name one per family, such as --from 192.0.2.0/24,2001:db8::/96")
	}
	s := &Sources{n: n}
	for _, p := range prefixes {
		r := newSourceRange(p.Masked())
		need := (n + len(prefixes) - 1) / len(prefixes)
		if r.count < need {
			return nil, fmt.Errorf("source prefix %s holds %d usable addresses, but its share of %d sessions is %d; use a shorter prefix or fewer sessions",
				p, r.count, n, need)
		}
		s.ranges = append(s.ranges, r)
	}
	return s, nil
}

func newSourceRange(p netip.Prefix) sourceRange {
	free := p.Addr().BitLen() - p.Bits()
	if free == 0 {
		return sourceRange{p, p.Addr(), 1}
	}
	count := maxPerPrefix
	if free < 20 {
		count = 1<<free - 1
		if p.Addr().Is4() {
			count = max(1, 1<<free-2)
		}
	}
	return sourceRange{p, p.Addr().Next(), count}
}

// At is the source of session i.
func (s *Sources) At(i int) netip.Addr {
	r := s.ranges[i%len(s.ranges)]
	return offset(r.first, i/len(s.ranges))
}

// offset adds n to an address.
func offset(a netip.Addr, n int) netip.Addr {
	sum := new(big.Int).SetBytes(a.AsSlice())
	sum.Add(sum, big.NewInt(int64(n)))
	b := make([]byte, a.BitLen()/8)
	sum.FillBytes(b)
	out, _ := netip.AddrFromSlice(b)
	return out
}
