package bird

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"github.com/peerage/peerage/api/node/birdc"
)

// maxIdle bounds the spawned protocols that wait for a router that may never
// come back; each takes memory.
const maxIdle = 4096

// keeper knows what must be put right behind BIRD.
type keeper struct {
	// adopted is false until a BIRD that was found running was seen to.
	adopted bool
	// watched are protocols that were there before a reconfiguration, until
	// it has settled.
	watched map[string]bool
	settled bool
	// seen are idle spawned protocols that were found to be at the right
	// place, for a revision.
	seen     map[string]bool
	revision string
}

// watch remembers the protocols before a reconfiguration.
func (k *keeper) watch(names map[string]bool) {
	if k.watched == nil {
		k.watched = map[string]bool{}
	}
	maps.Copy(k.watched, names)
}

// names lists the protocols that are ours.
func (d *Driver) names(ctx context.Context) (map[string]bool, error) {
	names := map[string]bool{}
	err := d.client.EachSummary(ctx, func(p *birdc.Protocol) error {
		if p.BGP != nil {
			names[p.Name] = true
		}
		return nil
	})
	return names, err
}

// keep puts right what BIRD does not by itself; see the package comment.
func (d *Driver) keep(ctx context.Context, r *rendered) error {
	if err := d.restoreKeys(ctx, r); err != nil {
		return err
	}
	astray, err := d.astray(ctx, r)
	if err != nil || len(astray) == 0 {
		return err
	}
	before, err := d.names(ctx)
	if err != nil {
		return err
	}
	for _, name := range astray {
		if err := d.client.Disable(ctx, name); err != nil {
			return err
		}
	}
	d.log.Info("idle sessions forgotten", "count", len(astray))
	d.watch(before)
	if err := d.configure(ctx); err != nil {
		return err
	}
	return d.restoreKeys(ctx, r)
}

// restoreKeys restarts the dynamic protocols whose key a dropped protocol has
// taken off the listener. While BIRD is still dropping, it is too early.
func (d *Driver) restoreKeys(ctx context.Context, r *rendered) error {
	var restart []string
	switch {
	case !d.adopted: // who knows what was dropped before
		for _, g := range r.groups {
			if g.dynamic() && g.key != "" {
				restart = append(restart, g.name)
			}
		}
	case len(d.watched) > 0:
		if !d.settled {
			s, err := d.client.Status(ctx)
			if err != nil || !s.Ready {
				return err
			}
			d.settled = true
		}
		now, err := d.names(ctx)
		if err != nil {
			return err
		}
		restart = r.robbed(d.watched, now)
	}
	slices.Sort(restart)
	for _, name := range slices.Compact(restart) {
		if r.skipped[name] != nil {
			continue
		}
		if err := d.client.Restart(ctx, name); err != nil {
			return err
		}
	}
	d.adopted, d.watched = true, nil
	return nil
}

// robbed lists the dynamic protocols with a key that spawned one which is gone.
func (r *rendered) robbed(before, now map[string]bool) []string {
	var names []string
	for name := range before {
		if now[name] {
			continue
		}
		parent, spawned := parentName(name)
		if g := r.groups[parent]; spawned && g != nil && g.key != "" {
			names = append(names, parent)
		}
	}
	return names
}

// astray lists idle spawned protocols that must go: those whose router belongs
// to another group now, those that are disabled, and all when they are too many.
func (d *Driver) astray(ctx context.Context, r *rendered) ([]string, error) {
	if d.revision != r.revision {
		d.revision, d.seen = r.revision, map[string]bool{}
	}
	idle := map[string]bool{}
	fresh := false
	err := d.client.EachSummary(ctx, func(p *birdc.Protocol) error {
		if waits(p) {
			idle[p.Name] = true
			fresh = fresh || !d.seen[p.Name] || p.State == "down"
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(idle) > maxIdle:
		return slices.Collect(maps.Keys(idle)), nil
	case !fresh:
		return nil, nil
	}
	var astray []string
	groups := r.index()
	err = d.client.EachProtocol(ctx, func(p *birdc.Protocol) error {
		parent, _ := parentName(p.Name)
		g := r.groups[parent]
		switch {
		case !waits(p) || g == nil: // without a group it goes with the next configuration anyway
		case p.State == "down" || groups.longest(g.listener, p.BGP.Neighbor) != g:
			astray = append(astray, p.Name)
		default:
			d.seen[p.Name] = true
		}
		return nil
	})
	return astray, err
}

// waits tells whether a spawned protocol has no connection.
func waits(p *birdc.Protocol) bool {
	_, spawned := parentName(p.Name)
	return spawned && p.BGP != nil && !connected(p.BGP.State)
}

// connected tells whether a state of RFC 4271 has a connection that must not
// be cut.
func connected(state string) bool {
	switch state {
	case "OpenSent", "OpenConfirm", "Established":
		return true
	}
	return false
}

// index finds the group of an address.
type index map[netip.AddrPort]map[netip.Prefix]*group

func (r *rendered) index() index {
	x := index{}
	for _, g := range r.groups {
		if g.probe() || r.skipped[g.name] != nil {
			continue
		}
		if x[g.listener] == nil {
			x[g.listener] = map[netip.Prefix]*group{}
		}
		x[g.listener][g.prefix] = g
	}
	return x
}

// longest is the group with the longest prefix that holds the address.
func (x index) longest(listener netip.AddrPort, a netip.Addr) *group {
	for bits := a.BitLen(); bits >= 0; bits-- {
		if p, err := a.Prefix(bits); err == nil {
			if g := x[listener][p]; g != nil {
				return g
			}
		}
	}
	return nil
}
