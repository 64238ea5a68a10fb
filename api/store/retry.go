package store

import (
	"context"
	"math/rand/v2"
	"time"
)

// retry waits between attempts: from first, doubling, up to most, each
// shortened by up to a half at random so that nodes do not march in step.
type retry struct {
	first, most time.Duration
	next        time.Duration
}

func newRetry() *retry { return &retry{first: 50 * time.Millisecond, most: 2 * time.Second} }

// wait waits, and tells whether ctx lived that long.
func (b *retry) wait(ctx context.Context) bool {
	return sleep(ctx, b.pause())
}

// pause is how long to wait before the next attempt.
func (b *retry) pause() time.Duration {
	b.next = min(max(b.next*2, b.first), b.most)
	return b.next - time.Duration(rand.Int64N(int64(b.next)/2))
}

func (b *retry) reset() { b.next = 0 }

// sleep waits for d, and tells whether ctx lived that long.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
