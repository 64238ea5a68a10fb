package lab

import (
	"context"
	"fmt"
	"os"
	"time"
)

// AwaitWeight waits until the kernel of an LB has a weight for a real server in
// the service of every VIP, and tells when that was, within a few milliseconds.
func (l *Lab) AwaitWeight(ctx context.Context, lb, server string, weight int) (time.Time, error) {
	n, err := l.Topology.Node(server)
	if err != nil {
		return time.Time{}, err
	}
	watch := l.Topology.watchWeight(n, weight)
	var at time.Time
	err = In(lb, func() error {
		return poll(ctx, 2*time.Millisecond, func() bool {
			text, err := os.ReadFile("/proc/thread-self/net/ip_vs")
			at = time.Now()
			return err == nil && watch.in(text)
		})
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("%s does not show %s for %s: %w", lb, watch, server, err)
	}
	return at, nil
}
