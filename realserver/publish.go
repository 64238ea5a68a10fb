package realserver

import (
	"context"
	"time"
)

const (
	// gather lets changes that come together go out together.
	gather     = 20 * time.Millisecond
	putTimeout = 5 * time.Second
	retryAfter = time.Second
)

// publish writes changes of state at once, and numbers every interval of the
// site's settings.
func (a *Agent) publish(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-a.wake:
			if !sleep(ctx, gather) {
				return
			}
		}
		o := a.observation(time.Now())
		if o == nil {
			timer.Reset(gather)
			continue
		}
		put, cancel := context.WithTimeout(ctx, putTimeout)
		err := a.cfg.Store.PutServer(put, o)
		cancel()
		switch {
		case err == nil:
			failing = false
			timer.Reset(time.Duration(a.cfg.Source.State().Settings.Spec.ObserveInterval))
		case ctx.Err() != nil:
			return
		default:
			if !failing {
				a.log.Warn("health is not published", "error", err)
			}
			failing = true
			timer.Reset(retryAfter)
		}
	}
}

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
