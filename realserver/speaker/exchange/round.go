package exchange

import (
	"slices"

	"github.com/peerage/peerage/realserver/rib"
)

// round is the changes of one family that are packed together, in runs of one
// source and one set of attributes. Its memory is used again.
type round[K rib.Key[K]] struct {
	changes []rib.Change[K] // as collected
	ends    []int           // of each shard's part
	sorted  []rib.Change[K] // by run
	runs    []run           // by source

	spare  []run
	starts []uint32 // in runs, by source
	runOf  []uint32 // of each change
	table  []uint32 // run+1 by hash of what is in a run
}

// run is changes that go into the same messages.
type run struct {
	attr       rib.AttrID // 0: withdrawals
	peer       rib.PeerID // who has the route, or had it when it is withdrawn
	seen       bool
	start, end int // in sorted
}

func (r *round[K]) reset() {
	r.changes, r.ends = r.changes[:0], r.ends[:0]
}

// shrink gives memory back after a burst.
func (r *round[K]) shrink() {
	if cap(r.changes) > 4096 {
		*r = round[K]{}
	}
}

func runFor[K rib.Key[K]](c *rib.Change[K]) run {
	if c.Attr == 0 {
		return run{peer: c.Prev, seen: c.Seen}
	}
	return run{attr: c.Attr, peer: c.Peer, seen: c.Seen}
}

// sort fills runs and sorted. Prefixes of one set come together wherever they
// are in the tables: that is what fills messages.
func (r *round[K]) sort() {
	size := 64
	for size < 2*len(r.changes) {
		size *= 2
	}
	if len(r.table) < size {
		r.table = make([]uint32, size)
	} else {
		r.table = r.table[:size]
		clear(r.table)
	}
	r.runs, r.runOf = r.runs[:0], r.runOf[:0]
	for i := range r.changes {
		want := runFor(&r.changes[i])
		h := (uint64(want.attr)<<16 | uint64(want.peer)) * 0x9e3779b97f4a7c15
		at := int(h>>32) & (size - 1)
		for r.table[at] != 0 {
			have := &r.runs[r.table[at]-1]
			if have.attr == want.attr && have.peer == want.peer && have.seen == want.seen {
				break
			}
			at = (at + 1) & (size - 1)
		}
		if r.table[at] == 0 {
			r.runs = append(r.runs, want)
			r.table[at] = uint32(len(r.runs))
		}
		n := r.table[at] - 1
		r.runs[n].end++
		r.runOf = append(r.runOf, n)
	}
	sum := 0
	for i := range r.runs {
		n := r.runs[i].end
		r.runs[i].start, r.runs[i].end = sum, sum
		sum += n
	}
	r.sorted = slices.Grow(r.sorted[:0], len(r.changes))[:len(r.changes)]
	for i := range r.changes {
		run := &r.runs[r.runOf[i]]
		r.sorted[run.end] = r.changes[i]
		run.end++
	}
	r.bySource()
}

// bySource brings the runs of one source together.
func (r *round[K]) bySource() {
	last := rib.PeerID(0)
	for i := range r.runs {
		last = max(last, r.runs[i].peer)
	}
	r.starts = slices.Grow(r.starts[:0], int(last)+2)[:int(last)+2]
	clear(r.starts)
	for i := range r.runs {
		r.starts[int(r.runs[i].peer)+1]++
	}
	for i := 1; i < len(r.starts); i++ {
		r.starts[i] += r.starts[i-1]
	}
	r.spare = slices.Grow(r.spare[:0], len(r.runs))[:len(r.runs)]
	for i := range r.runs {
		at := &r.starts[r.runs[i].peer]
		r.spare[*at] = r.runs[i]
		*at++
	}
	r.runs, r.spare = r.spare, r.runs
}

// release gives back the references that the changes came with.
func (r *round[K]) release(sets *rib.Sets) {
	for _, run := range r.runs {
		if run.attr != 0 {
			sets.Release(run.attr, run.end-run.start)
		}
	}
}
