package rib

import "bytes"

// Rank is what choosing between routes compares of their attributes (RFC 4271
// section 9.1.2.2, RFC 4456 section 9). Whoever decodes fills it; its fields
// are those of the codec's Rank, so that one converts to the other.
type Rank struct {
	LocalPref uint32
	MED       uint32 // 0 when the route has none
	PathLen   uint32
	// FirstAS is the neighbouring AS, within which MEDs compare.
	FirstAS      uint32
	OriginatorID uint32 // 0 when the route has none
	ClusterLen   uint16
	Origin       uint8
	HasMED       bool
}

// tier compares the steps before MED (RFC 4271 section 9.1.1, 9.1.2.2 a and
// b): negative when a is preferred.
func (a *Rank) tier(b *Rank) int {
	switch {
	case a.LocalPref != b.LocalPref:
		return order(b.LocalPref, a.LocalPref)
	case a.PathLen != b.PathLen:
		return order(a.PathLen, b.PathLen)
	}
	return order(a.Origin, b.Origin)
}

func order[T uint8 | uint16 | uint32](a, b T) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// Hint is the beginning of a Rank in one number. Different orders tell which
// route is preferred; equal ones tell nothing. It travels with a route, so
// that most comparisons need no look at the sets, which is a cache miss each.
type Hint uint32

const (
	hintMED Hint = 1 // the route has a MED
	hintAny Hint = hintMED
)

// Hint makes the hint of a rank.
func (a *Rank) Hint() Hint {
	var h Hint
	if a.MED != 0 {
		h = hintMED
	}
	switch {
	case a.LocalPref >= 0xffff: // what follows would not compare
		return h | 0xffff<<16
	case a.PathLen >= 0xff:
		return h | Hint(a.LocalPref)<<16
	}
	return h | Hint(a.LocalPref)<<16 | Hint(0xff-a.PathLen)<<8 | Hint(3-min(a.Origin, 3))<<6
}

// order compares what hints tell: negative when a is preferred.
func (a Hint) order(b Hint) int { return order(uint32(b&^hintAny), uint32(a&^hintAny)) }

// candidate is a route to choose from.
type candidate struct {
	rank *Rank
	peer *peer
	path path
}

// last compares the steps after MED: the lower BGP identifier, for which
// ORIGINATOR_ID stands in, the shorter CLUSTER_LIST, the lower peer address
// (RFC 4271 section 9.1.2.2 f and g, RFC 4456 section 9). Two sessions of one
// address differ in their own end.
func (a *candidate) last(b *candidate) int {
	x, y := a.rank.OriginatorID, b.rank.OriginatorID
	if x == 0 {
		x = a.peer.RouterID
	}
	if y == 0 {
		y = b.peer.RouterID
	}
	switch {
	case x != y:
		return order(x, y)
	case a.rank.ClusterLen != b.rank.ClusterLen:
		return order(a.rank.ClusterLen, b.rank.ClusterLen)
	}
	if c := bytes.Compare(a.peer.Order[:], b.peer.Order[:]); c != 0 {
		return c
	}
	return order(uint16(a.path.peer), uint16(b.path.peer))
}

// choose picks the best of the candidates, whatever their order: MEDs compare
// among routes of one neighbouring AS, so they eliminate before anything else
// of the tier is compared.
func choose(all []candidate) int {
	best := 0
	meds := false
	tied := 1
	for i := 1; i < len(all); i++ {
		switch c := all[i].rank.tier(all[best].rank); {
		case c < 0:
			best, tied, meds = i, 1, false
		case c == 0:
			tied++
			meds = meds || all[i].rank.MED != all[best].rank.MED
		}
	}
	top := all[best].rank
	if tied == 1 {
		return best
	}
	best = -1
	for i := range all {
		c := &all[i]
		if c.rank.tier(top) != 0 || meds && beaten(all, c, top) {
			continue
		}
		if best < 0 || c.last(&all[best]) < 0 {
			best = i
		}
	}
	return best
}

// beaten tells whether a route of the same neighbouring AS has a lower MED.
func beaten(all []candidate, c *candidate, top *Rank) bool {
	for i := range all {
		r := all[i].rank
		if r.FirstAS == c.rank.FirstAS && r.MED < c.rank.MED && r.tier(top) == 0 {
			return true
		}
	}
	return false
}
