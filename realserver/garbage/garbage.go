package garbage

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

const (
	// quiet is the share of what is in use that garbage may take at any time, in
	// per cent.
	quiet = 20
	// busy is how many times the memory with pointers it may take besides, while
	// collections follow each other.
	busy = 2
	// most bounds it, in per cent.
	most = 400
	// pause without a collection is the end of a busy time.
	pause = 5 * time.Second
	// least is memory in use, in bytes, below which shares are not worth a thought.
	least = 4 << 20
)

// Run sets Go's GC percentage until ctx ends. It does nothing when GOGC is in
// the environment: then somebody else has decided.
func Run(ctx context.Context) error {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	before := debug.SetGCPercent(quiet)
	defer debug.SetGCPercent(before)
	cycles := make(chan struct{}, 1)
	var stopped atomic.Bool
	defer stopped.Store(true)
	tellOf(cycles, &stopped)
	calm := time.NewTimer(pause)
	defer calm.Stop()
	var c collector
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-cycles:
			if percent := c.collected(time.Now(), read()); percent != 0 {
				debug.SetGCPercent(percent)
				calm.Reset(pause)
			}
		case <-calm.C:
			if !c.rest() {
				continue
			}
			debug.SetGCPercent(quiet)
			if read().wasteful() {
				debug.FreeOSMemory() // collects too
			}
		}
	}
}

// collector is what is known of the collections.
type collector struct {
	last time.Time
	busy bool
}

// collected notes a collection and returns the percentage from now on; 0 while
// it is quiet.
func (c *collector) collected(now time.Time, m memory) int {
	often := now.Sub(c.last) < pause
	c.last = now
	if !c.busy && !often {
		return 0
	}
	c.busy = true
	return m.percent()
}

// rest ends a busy time; it tells whether there was one. What is collected next
// is then the first of a time of its own.
func (c *collector) rest() bool {
	was := c.busy
	*c = collector{}
	return was
}

// memory is how the heap stands, in bytes.
type memory struct {
	// live is what the last collection left, scanned what of it and of the stacks
	// has pointers.
	live, scanned uint64
	// held is what the heap has of the operating system.
	held uint64
}

// percent is the garbage that a busy time may have, in per cent of what is in
// use.
func (m memory) percent() int {
	return min(quiet+int(100*busy*m.scanned/max(m.live, least)), most)
}

// wasteful tells whether more of the heap than garbage may have in a quiet time
// is worth giving back.
func (m memory) wasteful() bool {
	return m.held > m.live+m.live*quiet/100+least
}

// read asks the runtime.
func read() memory {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/gc/scan/heap:bytes"},
		{Name: "/gc/scan/stack:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	at := func(i int) uint64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return samples[i].Value.Uint64()
	}
	return memory{live: at(0), scanned: at(1) + at(2), held: at(3) + at(4) + at(5)}
}

// sentinel is garbage from the beginning. With a pointer it is in no block of
// small objects that another one keeps.
type sentinel struct{ _ *sentinel }

// tellOf tells of each collection until it is stopped: the collector finds the
// sentinel, and another takes its place.
func tellOf(cycles chan<- struct{}, stopped *atomic.Bool) {
	runtime.AddCleanup(new(sentinel), func(cycles chan<- struct{}) {
		if stopped.Load() {
			return
		}
		select {
		case cycles <- struct{}{}:
		default:
		}
		tellOf(cycles, stopped)
	}, cycles)
}
