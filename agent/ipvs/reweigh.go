package ipvs

import (
	"context"
	"fmt"
	"slices"

	"github.com/peerage/peerage/api"
)

// Reweigh brings services of ours from one desired state to another when that
// takes nothing but weights. It reads nothing and writes no file: it costs one
// message to the kernel for each weight. When it takes more than that, nothing
// happens and done is false; what was not done, or failed, is for Set.
//
// before is what the kernel was last seen to hold. If that is not so any more,
// the weights are written all the same: they are what is desired.
func (t *Table) Reweigh(ctx context.Context, before, after []api.Table) (ops []string, done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	todo := diff(after, before)
	if slices.ContainsFunc(todo, func(o op) bool { return o.action != editDestination || !t.rec.owns(o.service) }) {
		return nil, false, nil
	}
	// What the record says of nominal weights has to be struck out on disk
	// before the kernel is given another one.
	if !t.rec.before(todo).equal(t.rec) {
		return nil, false, nil
	}
	for _, o := range todo {
		if err := t.cfg.Kernel.SetDestination(ctx, tcp(o.service), destination(o.destination)); err != nil {
			return ops, true, fmt.Errorf("service %s: %s: %w", o.service, o, explain(err))
		}
		ops = append(ops, o.String())
	}
	return ops, true, nil
}
