package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Group owns the goroutines of a daemon: the first that fails ends them all,
// and Wait returns when every one has ended.
type Group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	mu  sync.Mutex
	err error // the first failure
}

// NewGroup makes a group whose goroutines end with ctx.
func NewGroup(ctx context.Context) *Group {
	g := &Group{}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// Context ends when the group's parent does, or when a part failed.
func (g *Group) Context() context.Context { return g.ctx }

// Go starts a part. A part that returns nil has done its work; the others go
// on. A part that returns an error ends the group, except that the end of the
// context is no error once the group is ending.
func (g *Group) Go(name string, fn func(ctx context.Context) error) {
	g.wg.Go(func() {
		err := fn(g.ctx)
		if err == nil || g.ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return
		}
		err = fmt.Errorf("%s: %w", name, err)
		g.mu.Lock()
		if g.err == nil {
			g.err = err
		}
		g.mu.Unlock()
		g.cancel(err)
	})
}

// Stop ends the parts without an error.
func (g *Group) Stop() { g.cancel(nil) }

// Wait returns the first failure when every part has ended.
func (g *Group) Wait() error {
	g.wg.Wait()
	g.cancel(nil)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}
