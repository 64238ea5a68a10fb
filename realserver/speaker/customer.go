package speaker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerage/peerage/realserver/rib"
)

// customer is what all sessions of one customer share on this machine. It
// outlives them, so that its counters only grow.
type customer struct {
	name   string
	memory *rib.Quota // bytes; a limit of 0: no bound
	bucket bucket

	updates, treated atomic.Int64
	paused           atomic.Int64 // in nanoseconds
	ups, downs       atomic.Int64
}

func newCustomer(name string) *customer { return &customer{name: name, memory: rib.NewQuota(0, false)} }

// bucket bounds a rate. It lets through what a second holds at once.
type bucket struct {
	mu sync.Mutex // guards the field below
	// full is when all that was taken is worked off.
	full time.Time
}

// take takes n at a rate per second and tells how long to wait before more.
func (b *bucket) take(n, rate int, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full.Before(now.Add(-time.Second)) {
		b.full = now.Add(-time.Second)
	}
	b.full = b.full.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	return b.full.Sub(now)
}
