package controller

import (
	"context"
	"time"
)

// backoff waits longer after each failure in a row: 50 ms to 2 s.
type backoff struct{ delay time.Duration }

const firstDelay, longestDelay = 50 * time.Millisecond, 2 * time.Second

func (b *backoff) reset() { b.delay = 0 }

// wait returns early when ctx ends.
func (b *backoff) wait(ctx context.Context) {
	b.delay = min(max(2*b.delay, firstDelay), longestDelay)
	sleep(ctx, b.delay)
}

// sleep returns early when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
