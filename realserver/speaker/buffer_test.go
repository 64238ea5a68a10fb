package speaker

import (
	"sync"
	"testing"
)

// One after the other, all sessions use the same buffer; at the same time
// there are never more than the bound.
func TestBuffers(t *testing.T) {
	b := newBuffers()
	first := b.get()
	first.r, first.w = 1, 2
	b.put(first)
	for range 100 {
		buf := b.get()
		if buf != first || buf.r != 0 || buf.w != 0 {
			t.Fatalf("got %p from %d to %d, want %p, empty", buf, buf.r, buf.w, first)
		}
		b.put(buf)
	}
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() { b.put(b.get()) })
	}
	all.Wait()
	if len(b.free) < 1 || len(b.free) > cap(b.turns) {
		t.Errorf("%d buffers were made, the bound is %d", len(b.free), cap(b.turns))
	}
	if len(b.turns) != 0 {
		t.Errorf("%d buffers are still lent", len(b.turns))
	}
}
