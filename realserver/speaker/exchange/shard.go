package exchange

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/rib"
)

const (
	batchSize = 512 // prefixes handed over together
	queueSize = 32  // batches waiting for a shard
	clearSize = 1024
)

// shard is the goroutine that writes one shard of the tables.
type shard struct {
	x   *Exchange
	rib *rib.Shard
	in  chan *batch
	// handled counts prefixes, for those who wait for a burst to be over.
	handled atomic.Int64

	mu      sync.Mutex // guards the field below
	leaving []*Peer
	left    chan struct{} // one slot: leaving has grown
}

// batch is changes of one peer's routes, or a mark between them.
type batch struct {
	peer *Peer
	v4   []rib.Op[rib.K4]
	v6   []rib.Op[rib.K6]
	mark mark
	of   bgp.Family
}

type mark uint8

const (
	noMark mark = iota
	refreshBegin
	refreshEnd
)

func newShard(x *Exchange) *shard {
	return &shard{x: x, rib: rib.NewShard(x.sets, x.layout), in: make(chan *batch, queueSize), left: make(chan struct{}, 1)}
}

// reuse keeps a batch for the next one: in the steady state nothing is
// allocated.
func (x *Exchange) reuse(b *batch) {
	*b = batch{v4: b.v4[:0], v6: b.v6[:0]}
	x.batches.Put(b)
}

func (s *shard) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-s.in:
			s.apply(b)
		case <-s.left:
			s.clear(ctx)
		}
	}
}

func (s *shard) apply(b *batch) {
	p := b.peer
	switch b.mark {
	case refreshBegin:
		s.rib.Lock()
		s.rib.RefreshBegin(p.id, b.of == bgp.IPv6Unicast)
		s.rib.Unlock()
	case refreshEnd:
		s.some(p, func() (more, dirty bool) { return s.rib.RefreshEnd(p.id, b.of == bgp.IPv6Unicast, clearSize) })
	case noMark:
		s.rib.Lock()
		dirty := len(b.v4) > 0 && s.rib.Apply4(p.id, b.v4)
		dirty = len(b.v6) > 0 && s.rib.Apply6(p.id, b.v6) || dirty
		s.rib.Unlock()
		s.handled.Add(int64(len(b.v4) + len(b.v6)))
		if dirty {
			p.d.kick()
		}
	}
	s.x.reuse(b)
}

// some does something step by step, so that readers get their turn.
func (s *shard) some(p *Peer, step func() (more, dirty bool)) {
	for more := true; more; {
		var dirty bool
		s.rib.Lock()
		more, dirty = step()
		s.rib.Unlock()
		s.handled.Add(clearSize)
		if dirty {
			p.d.kick()
		}
	}
}

// leave has a peer's routes withdrawn after what it handed over before.
func (s *shard) leave(p *Peer) {
	s.mu.Lock()
	s.leaving = append(s.leaving, p)
	s.mu.Unlock()
	signal(s.left)
}

// clear withdraws the routes of peers that leave. They hand over nothing any
// more, so that what is queued now is the last of them.
func (s *shard) clear(ctx context.Context) {
	s.mu.Lock()
	leaving := s.leaving
	s.leaving = nil
	s.mu.Unlock()
	for range len(s.in) {
		s.apply(<-s.in)
	}
	for _, p := range leaving {
		s.some(p, func() (more, dirty bool) {
			more, dirty = s.rib.Clear(p.id, clearSize)
			if !more {
				s.rib.Forget(p.id)
			}
			return more && ctx.Err() == nil, dirty
		})
		if p.leaving.Add(-1) == 0 {
			p.d.left(p)
		}
	}
}

// signal fills a slot; who is told once more before looking is told once.
func signal(slot chan struct{}) {
	select {
	case slot <- struct{}{}:
	default:
	}
}
