package rib

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// Prefixes with routes of very many peers, which come and go: each peer's route
// is found, and nobody else's.
func TestManyRoutes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSubject(t, 1, 0)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		peers := rapid.SampledFrom([]int{40, 90, 110, 250}).Draw(t, "peers")
		for id := 1; id <= peers; id++ {
			s.join(PeerID(id))
		}
		prefixes := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24")}
		want := map[string]Rank{}
		name := func(id PeerID, p netip.Prefix) string { return fmt.Sprint(id, p) }
		for range rapid.IntRange(1, 4).Draw(t, "tides") {
			// A tide of announcements, and withdrawals in between, or the reverse.
			rising := r.IntN(2)
			for range r.IntN(4 * peers) {
				id, p := PeerID(1+r.IntN(peers)), prefixes[r.IntN(len(prefixes))]
				if r.IntN(4) == 0 != (rising == 0) {
					s.apply(id, p, 0, 0)
					delete(want, name(id, p))
				} else {
					rank := Rank{LocalPref: 1 + r.Uint32N(1000)}
					s.announce(id, p, rank)
					want[name(id, p)] = rank
				}
			}
			for _, p := range prefixes {
				s.checkDirectory(t, p)
				for id := PeerID(1); int(id) <= peers; id++ {
					s.findOne(t, id, p, want[name(id, p)])
				}
			}
		}
		for id := PeerID(1); int(id) <= peers; id++ {
			s.leave(id)
		}
		s.empty(t)
	})
}

func (s *subject) findOne(t *rapid.T, id PeerID, p netip.Prefix, rank Rank) {
	got := ""
	s.layout.Lookup4(s.shards, Wanted{Peer: id}, p.Addr(), nil, func(_ *Shard, f []Found[K4]) {
		for _, r := range f {
			got += fmt.Sprint(r.Peer, r.Key.Prefix(), " ", string(s.sets.Bytes(r.Attr)))
		}
	})
	want := ""
	if rank != (Rank{}) {
		want = fmt.Sprint(id, p, " ", string(encoded(rank)))
	}
	if got != want {
		t.Fatalf("found %q, want %q", got, want)
	}
}

// checkDirectory checks that what is listed is the end of the chain.
func (s *subject) checkDirectory(t *rapid.T, p netip.Prefix) {
	v4 := &s.shards[0].domains[0].v4
	slot, e := v4.find(Key4(p))
	if e == nil {
		return
	}
	d := v4.dirs.at(slot)
	if d == nil {
		return
	}
	var all []chain // the oldest first, without the open one
	for c := e.more; c != 0; c = s.shards[0].paths.next(c) {
		if c != e.more {
			all = append([]chain{c}, all...)
		}
	}
	for i := range d.n() {
		if i >= len(all) || d.chunks[i] != all[i] {
			t.Fatalf("%s: %x are listed of %x", p, d.chunks, all)
		}
	}
}

// The longest prefix is found whatever lengths there are, from the default
// route to single addresses, in any number of shards.
func TestLongestMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSubject(t, rapid.IntRange(1, 5).Draw(t, "shards"), Domain(rapid.IntRange(0, 1).Draw(t, "domain")))
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		v6 := rapid.Bool().Draw(t, "IPv6")
		s.join(1)
		s.join(2)
		var prefixes []netip.Prefix
		for range rapid.IntRange(0, 60).Draw(t, "prefixes") {
			addr := near(r, v6)
			p := netip.PrefixFrom(addr, r.IntN(addr.BitLen()+1)).Masked()
			prefixes = append(prefixes, p)
			s.announce(1, p, Rank{})
			s.announce(2, netip.PrefixFrom(addr, addr.BitLen()), Rank{}) // longer, and of somebody else
		}
		for range 100 {
			addr := near(r, v6)
			want := netip.Prefix{}
			for _, p := range prefixes {
				if p.Contains(addr) && (!want.IsValid() || p.Bits() > want.Bits()) {
					want = p
				}
			}
			if got := s.longest(1, addr); got != want {
				t.Fatalf("%s: found %s, want %s", addr, got, want)
			}
		}
	})
}

// near is an address that has a random number of bits in common with a fixed
// one.
func near(r *rand.Rand, v6 bool) netip.Addr {
	a := netip.MustParseAddr("2001:db8::5a5a:1").As16()
	n := r.IntN(129)
	if !v6 {
		n = 96 + r.IntN(33)
	}
	for i := n; i < 128 && i < n+3; i++ {
		a[i/8] ^= byte(r.IntN(2)) << (7 - i%8)
	}
	if v6 {
		return netip.AddrFrom16(a)
	}
	return netip.AddrFrom4([4]byte(a[12:]))
}

func (s *subject) longest(id PeerID, addr netip.Addr) (p netip.Prefix) {
	w := Wanted{Domain: s.domain, Peer: id}
	if addr.Is4() {
		s.layout.Lookup4(s.shards, w, addr, nil, func(_ *Shard, f []Found[K4]) { p = f[0].Key.Prefix() })
	} else {
		s.layout.Lookup6(s.shards, w, addr, nil, func(_ *Shard, f []Found[K6]) { p = f[0].Key.Prefix() })
	}
	return p
}
