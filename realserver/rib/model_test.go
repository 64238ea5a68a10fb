package rib

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// model is what a RIB should do, without a thought for cost.
type model struct {
	routes map[PeerID]map[netip.Prefix]Rank
	stale  map[PeerID]map[netip.Prefix]bool
}

// preferred follows RFC 4271 section 9.1.2.2 and RFC 4456 section 9 step by
// step, each eliminating from the list.
func (m *model) preferred(p netip.Prefix) (best PeerID) {
	var left []PeerID
	for id := range m.routes {
		if _, ok := m.routes[id][p]; ok {
			left = append(left, id)
		}
	}
	rank := func(id PeerID) Rank { return m.routes[id][p] }
	keepLowest := func(value func(PeerID) int64) {
		least := int64(1 << 62)
		for _, id := range left {
			least = min(least, value(id))
		}
		left = slices.DeleteFunc(left, func(id PeerID) bool { return value(id) != least })
	}
	keepLowest(func(id PeerID) int64 { return -int64(rank(id).LocalPref) })
	keepLowest(func(id PeerID) int64 { return int64(rank(id).PathLen) })
	keepLowest(func(id PeerID) int64 { return int64(rank(id).Origin) })
	tied := slices.Clone(left)
	left = slices.DeleteFunc(left, func(id PeerID) bool {
		return slices.ContainsFunc(tied, func(other PeerID) bool {
			return rank(other).FirstAS == rank(id).FirstAS && rank(other).MED < rank(id).MED
		})
	})
	keepLowest(func(id PeerID) int64 {
		if o := rank(id).OriginatorID; o != 0 {
			return int64(o)
		}
		return int64(routerID(id))
	})
	keepLowest(func(id PeerID) int64 { return int64(rank(id).ClusterLen) })
	keepLowest(func(id PeerID) int64 { return int64(id) })
	if len(left) == 0 {
		return 0
	}
	return left[0]
}

func routerID(id PeerID) uint32 { return 1000 + uint32(id)%3 }

// encoded makes a set that is different for every rank.
func encoded(r Rank) []byte {
	return fmt.Appendf(nil, "%+v", r)
}

// subject is the real thing, in some shards.
type subject struct {
	t      *rapid.T
	sets   *Sets
	layout Layout
	shards []*Shard
	domain Domain
	// best is what the Changes amount to.
	best map[netip.Prefix]string
}

func newSubject(t *rapid.T, shards int, domain Domain) *subject {
	s := &subject{t: t, sets: NewSets(), layout: NewLayout(shards, 7), domain: domain, best: map[netip.Prefix]string{}}
	for range shards {
		s.shards = append(s.shards, NewShard(s.sets, s.layout))
	}
	return s
}

func (s *subject) join(id PeerID) {
	for _, sh := range s.shards {
		info := PeerInfo{Domain: s.domain, RouterID: routerID(id)}
		binary.BigEndian.PutUint16(info.Order[:], uint16(id))
		sh.Join(id, info)
	}
}

func (s *subject) announce(id PeerID, p netip.Prefix, r Rank) {
	attr, err := s.sets.Intern(encoded(r), &r, s.domain != 0, 1)
	if err != nil {
		s.t.Fatal(err)
	}
	s.apply(id, p, attr, r.Hint())
}

func (s *subject) apply(id PeerID, p netip.Prefix, attr AttrID, h Hint) {
	if p.Addr().Is4() {
		k := Key4(p)
		s.shards[s.layout.Of4(k)].Apply4(id, []Op[K4]{{k, attr, h}})
		return
	}
	k := Key6(p)
	s.shards[s.layout.Of6(k)].Apply6(id, []Op[K6]{{k, attr, h}})
}

func (s *subject) collect() {
	for _, sh := range s.shards {
		for more := true; more; {
			var c4 []Change[K4]
			c4, more = sh.Collect4(s.domain, nil, 3)
			var gone []uint32
			for _, c := range c4 {
				gone = note(s, sh, c, gone)
			}
			sh.Free4(s.domain, gone)
		}
		c6, _ := sh.Collect6(s.domain, nil, 1<<20)
		var gone []uint32
		for _, c := range c6 {
			gone = note(s, sh, c, gone)
		}
		sh.Free6(s.domain, gone)
	}
}

func note[K Key[K]](s *subject, sh *Shard, c Change[K], gone []uint32) []uint32 {
	p := c.Key.Prefix()
	if c.Gone {
		gone = append(gone, c.Slot)
	}
	if c.Attr == 0 {
		delete(s.best, p)
		return gone
	}
	now := fmt.Sprintf("%d %s", c.Peer, s.sets.Bytes(c.Attr))
	if s.best[p] == now && !c.Seen {
		s.t.Errorf("%s is told to have changed and has not", p)
	}
	s.best[p] = now
	s.sets.Release(c.Attr, 1)
	return gone
}

// routes are all routes of a peer by a walk, and by lookups.
func (s *subject) routes(id PeerID) map[netip.Prefix]string {
	got := map[netip.Prefix]string{}
	for _, sh := range s.shards {
		for next := uint32(0); ; {
			var f []Found[K4]
			f, next = sh.Walk4(id, next, 2, nil)
			for _, r := range f {
				got[r.Key.Prefix()] = string(s.sets.Bytes(r.Attr))
			}
			if next == 0 {
				break
			}
		}
		f, _ := sh.Walk6(id, 0, 1<<20, nil)
		for _, r := range f {
			got[r.Key.Prefix()] = string(s.sets.Bytes(r.Attr))
		}
	}
	return got
}

func drawPrefix(t *rapid.T) netip.Prefix {
	if rapid.IntRange(0, 3).Draw(t, "family") == 0 {
		a := [16]byte{0x20, 0x01, 0xd, 0xb8, rapid.Byte().Draw(t, "a") % 2, 0, 0, 0, rapid.Byte().Draw(t, "b") % 2}
		return netip.PrefixFrom(netip.AddrFrom16(a), rapid.SampledFrom([]int{0, 20, 32, 48, 64, 72, 128}).Draw(t, "bits")).Masked()
	}
	a := [4]byte{10, rapid.Byte().Draw(t, "a") % 3, rapid.Byte().Draw(t, "b") % 4, rapid.Byte().Draw(t, "c") % 4}
	return netip.PrefixFrom(netip.AddrFrom4(a), rapid.SampledFrom([]int{0, 8, 12, 16, 20, 24, 32}).Draw(t, "bits")).Masked()
}

func drawRank(t *rapid.T) Rank {
	small := func(name string, n uint32) uint32 { return rapid.Uint32Range(0, n).Draw(t, name) }
	r := Rank{LocalPref: rapid.SampledFrom([]uint32{100, 101, 65534, 65535, 65536}).Draw(t, "pref"), PathLen: rapid.SampledFrom([]uint32{1, 2, 254, 255, 256}).Draw(t, "len"), MED: small("med", 2), FirstAS: small("as", 2), OriginatorID: small("originator", 2)}
	r.ClusterLen = uint16(small("clusters", 1))
	return r
}

// Any sequence of changes leaves each peer's routes and each prefix's best as
// the model has them, with any number of shards; and when all peers have left
// nothing is kept.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		domain := Domain(rapid.IntRange(0, 1).Draw(t, "domain"))
		s := newSubject(t, rapid.IntRange(1, 4).Draw(t, "shards"), domain)
		m := model{routes: map[PeerID]map[netip.Prefix]Rank{}, stale: map[PeerID]map[netip.Prefix]bool{}}
		peers := PeerID(rapid.SampledFrom([]int{2, 5, 13}).Draw(t, "peers"))
		for id := PeerID(1); id <= peers; id++ {
			s.join(id)
			m.routes[id] = map[netip.Prefix]Rank{}
		}
		drawPeer := func(t *rapid.T) PeerID { return PeerID(rapid.IntRange(1, int(peers)).Draw(t, "peer")) }
		t.Repeat(map[string]func(*rapid.T){
			"announce": func(t *rapid.T) {
				id, p, r := drawPeer(t), drawPrefix(t), drawRank(t)
				s.announce(id, p, r)
				m.routes[id][p] = r
				delete(m.stale[id], p)
			},
			"announceAll": func(t *rapid.T) {
				p := drawPrefix(t)
				for id := PeerID(1); id <= peers; id++ {
					r := drawRank(t)
					s.announce(id, p, r)
					m.routes[id][p] = r
					delete(m.stale[id], p)
				}
			},
			"withdraw": func(t *rapid.T) {
				id, p := drawPeer(t), drawPrefix(t)
				s.apply(id, p, 0, 0)
				delete(m.routes[id], p)
			},
			"refresh": func(t *rapid.T) {
				id := drawPeer(t)
				m.stale[id] = map[netip.Prefix]bool{}
				for p := range m.routes[id] {
					m.stale[id][p] = true
				}
				for _, sh := range s.shards {
					sh.RefreshBegin(id, false)
					sh.RefreshBegin(id, true)
				}
			},
			"refreshEnd": func(t *rapid.T) {
				id := drawPeer(t)
				for p := range m.stale[id] {
					delete(m.routes[id], p)
				}
				delete(m.stale, id)
				for _, sh := range s.shards {
					for _, v6 := range []bool{false, true} {
						for more := true; more; {
							more, _ = sh.RefreshEnd(id, v6, 2)
						}
					}
				}
			},
			"leave": func(t *rapid.T) {
				id := drawPeer(t)
				s.leave(id)
				s.join(id)
				clear(m.routes[id])
				delete(m.stale, id)
			},
			"collect": func(t *rapid.T) { s.check(t, &m) },
		})
		s.check(t, &m)
		for id := PeerID(1); id <= peers; id++ {
			s.leave(id)
		}
		s.collect()
		s.empty(t)
	})
}

func (s *subject) leave(id PeerID) {
	for _, sh := range s.shards {
		for more := true; more; {
			more, _ = sh.Clear(id, 2)
		}
		sh.Forget(id)
	}
}

func (s *subject) check(t *rapid.T, m *model) {
	s.collect()
	best := map[netip.Prefix]string{}
	for id, routes := range m.routes {
		want := map[netip.Prefix]string{}
		for p, r := range routes {
			want[p] = string(encoded(r))
			if s.domain != 0 && m.preferred(p) == id {
				best[p] = fmt.Sprintf("%d %s", id, want[p])
			}
		}
		if got := s.routes(id); !maps.Equal(want, got) {
			t.Fatalf("routes of peer %d (-want +got):\n%s", id, cmp.Diff(want, got))
		}
		var count int64
		for _, sh := range s.shards {
			v4, v6 := sh.Routes(id)
			count += v4 + v6
		}
		if count != int64(len(want)) {
			t.Fatalf("peer %d has %d routes, not %d", id, count, len(want))
		}
	}
	if !maps.Equal(best, s.best) {
		t.Fatalf("best routes (-want +got):\n%s", cmp.Diff(best, s.best))
	}
	s.checkLookups(t, m)
}

// checkLookups compares the longest match for some addresses.
func (s *subject) checkLookups(t *rapid.T, m *model) {
	for range 3 {
		addr := drawPrefix(t).Addr()
		for id := range m.routes {
			var want netip.Prefix
			for p := range m.routes[id] {
				if p.Contains(addr) && (!want.IsValid() || p.Bits() > want.Bits()) {
					want = p
				}
			}
			var got netip.Prefix
			if addr.Is4() {
				if f := s.layout.Lookup4(s.shards, Wanted{Domain: s.domain, Peer: id}, addr, nil, func(_ *Shard, f []Found[K4]) {
					got = f[0].Key.Prefix()
				}); !f && want.IsValid() {
					t.Fatalf("%s of peer %d: nothing found, want %s", addr, id, want)
				}
			} else {
				s.layout.Lookup6(s.shards, Wanted{Domain: s.domain, Peer: id}, addr, nil, func(_ *Shard, f []Found[K6]) {
					got = f[0].Key.Prefix()
				})
			}
			if got != want {
				t.Fatalf("%s of peer %d: found %v, want %v", addr, id, got, want)
			}
		}
	}
}

// empty checks that nothing is left.
func (s *subject) empty(t *rapid.T) {
	if sets, _ := s.sets.Stats(); sets != 0 {
		t.Errorf("%d sets are left", sets)
	}
	for _, sh := range s.shards {
		st := sh.Stats()
		if st.Prefixes != 0 || st.Routes != 0 {
			t.Errorf("%d prefixes and %d routes are left", st.Prefixes, st.Routes)
		}
		for class := range sh.paths.used {
			free := uint32(0)
			for c := sh.paths.free[class]; c != 0; free++ {
				c = sh.paths.words(chain(class+1)<<chainShift | chain(c-1))[0]
			}
			if free != sh.paths.used[class] {
				t.Errorf("class %d: %d chunks of %d are free", class, free, sh.paths.used[class])
			}
		}
		for _, d := range sh.domains {
			if d == nil {
				continue
			}
			for i := range d.v4.dirs.pages {
				for _, dir := range d.v4.dirs.pages[i] {
					if dir != (directory{}) {
						t.Errorf("routes are still listed: %v", dir)
					}
				}
			}
		}
		free := uint32(0)
		for n := sh.bits.free; n != 0; free++ {
			n = uint32(sh.bits.pages.at(n - 1)[0])
		}
		if free != sh.bits.pages.n {
			t.Errorf("%d bitmap pages of %d are free", free, sh.bits.pages.n)
		}
	}
}

// Prefixes that lie close together, as those of real tables do, are found with
// few steps, whatever the seed.
func TestHashSpreads(t *testing.T) {
	for seed := range uint64(8) {
		s := NewShard(NewSets(), NewLayout(1, seed))
		s.Join(1, PeerInfo{})
		id, err := s.sets.Intern([]byte("x"), &Rank{}, false, 1<<15)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1 << 17 {
			k := cut4(10<<24|uint64(i)<<7, 25-i%2)
			s.Apply4(1, []Op[K4]{{k, id, 0}})
		}
		v4 := &s.domains[0].v4
		steps, mask := 0, uint32(len(v4.index)-1)
		for at, w := range v4.index {
			if w != 0 {
				home := uint32(v4.entries.at(w&maxSlots-1).key.hash(s.seed)) & mask
				steps += int((uint32(at) - home) & mask)
			}
		}
		if mean := float64(steps) / float64(v4.live); mean > 2 {
			t.Errorf("seed %d: %.1f steps to find one of %d prefixes", seed, mean, v4.live)
		}
	}
}
