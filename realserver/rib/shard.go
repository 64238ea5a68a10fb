package rib

import (
	"sync"
	"sync/atomic"
)

// Domain numbers a set of peers whose routes are in the same tables: 0 is that
// of all peers in mode collect, the others are reflect groups.
type Domain uint16

// PeerInfo is what a shard must know of a peer.
type PeerInfo struct {
	Domain Domain
	// RouterID is the BGP identifier; Order decides between routes that are
	// equal otherwise: the peer's address, then the own one.
	RouterID uint32
	Order    [32]byte
	// Session counts routes, Customer bytes: RouteBytes for each, and those of
	// its attributes. Either may be nil.
	Session, Customer *Quota
}

// RouteBytes is charged for a route besides its attributes.
const RouteBytes = 32

// Shard is one part of all tables. Announce, Withdraw, Collect and what else
// changes it is for one goroutine at a time, which holds the lock; readers
// hold it for reading. All methods say so by taking neither themselves.
type Shard struct {
	sync.RWMutex // guards everything below

	sets    *Sets
	seed    uint64
	paths   paths
	bits    bitmaps
	domains []*domain
	peers   []*peer

	// Counts of prefixes shorter than what decides the shard, by length, over
	// all domains, and which of them are not 0: a lookup asks many shards for
	// them and need not take the lock of one that has none.
	count4         [home4]int32
	count6         [home6]int32
	short4, short6 atomic.Uint32

	routes           int64
	applied, changed int64

	scratch    []path
	candidates []candidate
	slots      []uint32
}

// short is which short lengths there are, of a key's family. It may be read
// without the lock.
func (s *Shard) short(k any) *atomic.Uint32 {
	if _, v6 := k.(K6); v6 {
		return &s.short6
	}
	return &s.short4
}

func (s *Shard) shortCount(k any) []int32 {
	if _, v6 := k.(K6); v6 {
		return s.count6[:]
	}
	return s.count4[:]
}

// domain is the tables of one domain.
type domain struct {
	v4 table[K4]
	v6 table[K6]
}

// peer is what a shard has of one peer.
type peer struct {
	PeerInfo
	id PeerID
	v4 routesOf
	v6 routesOf
}

// routesOf are the routes of one peer and family.
type routesOf struct {
	slots bitmap
	n     int64
	// stale are those not announced again since RefreshBegin; nil: there was
	// none. There are peers times shards times families of these.
	stale *bitmap
}

// fresh ends what RefreshBegin began.
func (r *routesOf) fresh(m *bitmaps) {
	if r.stale != nil {
		r.stale.drop(m)
		r.stale = nil
	}
}

// NewShard makes a shard. All shards of one RIB have the same seed as their
// Layout.
func NewShard(sets *Sets, l Layout) *Shard {
	return &Shard{sets: sets, seed: l.seed}
}

// Join adds a peer.
func (s *Shard) Join(id PeerID, info PeerInfo) {
	for int(id) >= len(s.peers) {
		s.peers = append(s.peers, nil)
	}
	for int(info.Domain) >= len(s.domains) {
		s.domains = append(s.domains, nil)
	}
	if s.domains[info.Domain] == nil {
		d := new(domain)
		d.v4.s, d.v6.s = s, s
		d.v4.best, d.v6.best = info.Domain != 0, info.Domain != 0
		s.domains[info.Domain] = d
	}
	s.peers[id] = &peer{PeerInfo: info, id: id}
}

// Forget removes a peer without routes.
func (s *Shard) Forget(id PeerID) { s.peers[id] = nil }

// Drop removes a domain without routes.
func (s *Shard) Drop(d Domain) { s.domains[d] = nil }

// Routes counts a peer's routes.
func (s *Shard) Routes(id PeerID) (v4, v6 int64) {
	if p := s.peer(id); p != nil {
		return p.v4.n, p.v6.n
	}
	return 0, 0
}

func (s *Shard) peer(id PeerID) *peer {
	if int(id) >= len(s.peers) {
		return nil
	}
	return s.peers[id]
}

// Stats are a shard's counters.
type Stats struct {
	Prefixes, Routes int64
	// Bytes is the memory of tables and routes, without attribute sets.
	Bytes int64
	// Applied counts announcements and withdrawals, Changed changes of a best
	// route.
	Applied, Changed int64
}

// Stats counts.
func (s *Shard) Stats() Stats {
	st := Stats{Routes: s.routes, Applied: s.applied, Changed: s.changed, Bytes: s.paths.bytes()}
	for _, d := range s.domains {
		if d == nil {
			continue
		}
		st.Prefixes += int64(d.v4.live + d.v6.live)
		st.Bytes += d.v4.bytes() + d.v6.bytes()
	}
	for _, c := range s.bits.pages.chunks {
		st.Bytes += int64(len(c)) << bitShift / 8
	}
	return st
}

// Op is a change of one route: with Attr 0 a withdrawal. An announcement
// brings one reference to its set.
type Op[K Key[K]] struct {
	Key  K
	Attr AttrID
	Hint Hint // of the set's rank
}

// Apply4 applies a peer's changes of IPv4 routes, in their order. It tells
// whether a domain has become dirty: has something for Collect and had
// nothing before.
func (s *Shard) Apply4(id PeerID, ops []Op[K4]) (dirty bool) {
	p := s.peer(id)
	if p == nil {
		releaseOps(s, ops)
		return false
	}
	return apply(s, &s.domains[p.Domain].v4, p, &p.v4, ops)
}

// Apply6 does for IPv6 what Apply4 does for IPv4.
func (s *Shard) Apply6(id PeerID, ops []Op[K6]) (dirty bool) {
	p := s.peer(id)
	if p == nil {
		releaseOps(s, ops)
		return false
	}
	return apply(s, &s.domains[p.Domain].v6, p, &p.v6, ops)
}

func releaseOps[K Key[K]](s *Shard, ops []Op[K]) {
	for i := range ops {
		if ops[i].Attr != 0 {
			s.sets.Release(ops[i].Attr, 1)
		}
	}
}
