package rib

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

func environment(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// filledShard has prefixes of one domain from some peers, each with one set
// for four prefixes.
func filledShard(b *testing.B, domain Domain, prefixes, peers int) (*Shard, Layout, []K4) {
	sets := NewSets()
	layout := NewLayout(1, 7)
	s := NewShard(sets, layout)
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[K4]bool{}
	var keys []K4
	for len(keys) < prefixes {
		k := cut4(uint64(1<<24+r.Uint32N(222<<24)), []int{24, 24, 24, 24, 24, 24, 23, 22, 20, 16}[r.IntN(10)])
		if !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	for id := PeerID(1); int(id) <= peers; id++ {
		s.Join(id, PeerInfo{Domain: domain, RouterID: uint32(id)})
		s.Apply4(id, announceAll(b, sets, keys, id, 0))
		s.Collect4(domain, nil, 1<<30)
	}
	return s, layout, keys
}

func announceAll(b *testing.B, sets *Sets, keys []K4, id PeerID, variant int) []Op[K4] {
	ops := make([]Op[K4], 0, len(keys))
	set := make([]byte, 60)
	for i := 0; i < len(keys); i += 4 {
		n := min(4, len(keys)-i)
		binary.BigEndian.PutUint64(set, uint64(i)<<20|uint64(id)<<8|uint64(variant))
		rank := Rank{LocalPref: 100 + uint32(i/4+int(id))%7, OriginatorID: uint32(id)}
		attr, err := sets.Intern(set, &rank, true, n)
		if err != nil {
			b.Fatal(err)
		}
		for _, k := range keys[i : i+n] {
			ops = append(ops, Op[K4]{k, attr, rank.Hint()})
		}
	}
	return ops
}

// clock is processor time, which does not depend on what else the machine
// does.
type clock struct{ start, spent time.Duration }

func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (c *clock) run()  { c.start = processor() }
func (c *clock) stop() { c.spent += processor() - c.start }

func (c *clock) report(b *testing.B, n int, unit string) {
	b.ReportMetric(float64(c.spent)/float64(b.N)/float64(n), "cpu-ns/"+unit)
}

// BenchmarkIntern interns sets, new ones and known ones, and gives them back.
func BenchmarkIntern(b *testing.B) {
	const n = 1 << 18
	set := make([]byte, 60)
	for name, both := range map[string]bool{"new": false, "known": true} {
		b.Run(name, func(b *testing.B) {
			sets := NewSets()
			ids := make([]AttrID, n)
			intern := func() {
				for i := range ids {
					binary.BigEndian.PutUint64(set, uint64(i))
					ids[i], _ = sets.Intern(set, &Rank{}, true, 1)
				}
			}
			if both {
				intern()
			}
			var c clock
			c.run()
			for b.Loop() {
				intern()
				for _, id := range ids {
					sets.Release(id, 1)
				}
			}
			c.stop()
			c.report(b, n, "set")
		})
	}
}

// BenchmarkApply changes all routes of one of ten peers, in a reflect domain
// and in none, and withdraws and announces the best ones.
func BenchmarkApply(b *testing.B) {
	prefixes, peers := environment("PREFIXES", 100_000), environment("PEERS", 10)
	for name, domain := range map[string]Domain{"collect": 0, "reflect": 1} {
		b.Run(name, func(b *testing.B) {
			s, _, keys := filledShard(b, domain, prefixes, peers)
			variant := 0
			var c clock
			for b.Loop() {
				b.StopTimer()
				variant++
				ops := announceAll(b, s.sets, keys, 1, variant%2+1)
				b.StartTimer()
				c.run()
				s.Apply4(1, ops)
				c.stop()
				b.StopTimer()
				s.Collect4(domain, nil, 1<<30)
				b.StartTimer()
			}
			c.report(b, prefixes, "route")
		})
	}
}

// BenchmarkFlap withdraws all routes of one of ten peers, with the choice of
// another best one, and collects what has changed.
func BenchmarkFlap(b *testing.B) {
	prefixes, peers := environment("PREFIXES", 100_000), environment("PEERS", 10)
	s, _, keys := filledShard(b, 1, prefixes, peers)
	var changes []Change[K4]
	var c clock
	for b.Loop() {
		c.run()
		for more := true; more; {
			more, _ = s.Clear(1, 1024)
		}
		changes, _ = s.Collect4(1, changes[:0], 1<<30)
		c.stop()
		b.StopTimer()
		for i := range changes {
			s.sets.Release(changes[i].Attr, 1)
		}
		s.Apply4(1, announceAll(b, s.sets, keys, 1, 0))
		s.Collect4(1, nil, 1<<30)
		b.StartTimer()
	}
	c.report(b, prefixes, "route")
}

// BenchmarkLookup finds the longest match of one peer's routes.
func BenchmarkLookup(b *testing.B) {
	prefixes, peers := environment("PREFIXES", 100_000), environment("PEERS", 10)
	s, layout, keys := filledShard(b, 0, prefixes, peers)
	addrs := make([]netip.Addr, 1<<16)
	for i := range addrs {
		addrs[i] = keys[i*7919%len(keys)].Prefix().Addr().Next()
	}
	for name, w := range map[string]Wanted{"peer": {Peer: PeerID(peers / 2)}, "all": {}} {
		b.Run(name, func(b *testing.B) {
			i, bytes := 0, 0
			space := make([]Found[K4], 0, peers)
			var c clock
			c.run()
			for b.Loop() {
				layout.Lookup4([]*Shard{s}, w, addrs[i&(1<<16-1)], space, func(s *Shard, f []Found[K4]) {
					bytes += len(f)
				})
				i++
			}
			c.stop()
			c.report(b, 1, "lookup")
		})
	}
}

// BenchmarkWalk reads all routes of a peer.
func BenchmarkWalk(b *testing.B) {
	prefixes, peers := environment("PREFIXES", 100_000), environment("PEERS", 10)
	s, _, _ := filledShard(b, 0, prefixes, peers)
	found := make([]Found[K4], 0, 256)
	var c clock
	c.run()
	for b.Loop() {
		for next, first := uint32(0), true; first || next != 0; first = false {
			found, next = s.Walk4(2, next, 256, found[:0])
		}
	}
	c.stop()
	c.report(b, prefixes, "route")
}

// BenchmarkMemory tells the bytes of a route with so many peers that have the
// prefix.
func BenchmarkMemory(b *testing.B) {
	for _, peers := range []int{1, 10, 100} {
		b.Run(strconv.Itoa(peers), func(b *testing.B) {
			for b.Loop() {
				s, _, keys := filledShard(b, 0, 100_000, peers)
				b.ReportMetric(float64(s.Stats().Bytes)/float64(len(keys)*peers), "B/route")
			}
		})
	}
}
