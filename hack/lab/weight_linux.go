package lab

import (
	"context"
	"fmt"
	"os"
	"time"
)

const (
	// lookEvery is the shortest time between two looks at a kernel's table.
	lookEvery = 2 * time.Millisecond
	// lookShare is which part of one processor looking may take: the table is
	// long, the machine is slow and busy with what is measured, and a look that
	// follows the other at once would take it half of what it has.
	lookShare = 8
)

// AwaitWeight waits until the kernel of an LB has a weight for a real server in
// the service of every VIP, and tells when that was, to within the time between
// two looks: 2 ms, or eight times what a look takes.
func (l *Lab) AwaitWeight(ctx context.Context, lb, server string, weight int) (time.Time, error) {
	n, err := l.Topology.Node(server)
	if err != nil {
		return time.Time{}, err
	}
	watch := l.Topology.watchWeight(n, weight)
	var at time.Time
	err = In(lb, func() error {
		for {
			begin := time.Now()
			text, err := os.ReadFile("/proc/thread-self/net/ip_vs")
			at = time.Now()
			if err == nil && watch.in(text) {
				return nil
			}
			pause := time.NewTimer(max(lookEvery, lookShare*time.Since(begin)))
			select {
			case <-ctx.Done():
				pause.Stop()
				return ctx.Err()
			case <-pause.C:
			}
		}
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("%s does not show %s for %s: %w", lb, watch, server, err)
	}
	return at, nil
}
