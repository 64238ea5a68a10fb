package speaker

import (
	"cmp"
	"net/netip"
	"slices"
)

// keyOp sets a key on a listener; an empty key takes it away.
type keyOp struct {
	place
	key string
}

// change is what leads from one table to another, sessions aside.
type change struct {
	open, close []where
	// keys are those of listeners that stay; removals come first, so that the
	// new ones find room.
	keys []keyOp
	// gone are neighbours that are no longer there.
	gone []*neighbor
	// other tells that something else differs.
	other bool
}

func (c *change) empty() bool {
	return !c.other && len(c.open)+len(c.close)+len(c.keys)+len(c.gone) == 0
}

// diff compares two tables.
func diff(old, now *table) change {
	var c change
	for at, l := range now.listeners {
		if before := old.listeners[at]; before == nil {
			c.open = append(c.open, at)
		} else {
			c.listener(before, l)
		}
	}
	for at, l := range old.listeners {
		if now.listeners[at] == nil {
			c.close = append(c.close, at)
			for _, n := range l.neighbors {
				c.gone = append(c.gone, n)
			}
		}
	}
	c.other = c.other || old.routerID != now.routerID || !equalSets(old.probes, now.probes) || !equalSets(old.own, now.own) ||
		!slices.Equal(old.customers, now.customers)
	slices.SortFunc(c.open, where.Compare)
	slices.SortFunc(c.close, where.Compare)
	slices.SortFunc(c.keys, func(a, b keyOp) int {
		return cmp.Or(cmp.Compare(min(len(a.key), 1), min(len(b.key), 1)), a.at.Compare(b.at), a.prefix.Compare(b.prefix))
	})
	slices.SortFunc(c.gone, func(a, b *neighbor) int { return cmp.Or(a.at.Compare(b.at), a.prefix.Compare(b.prefix)) })
	return c
}

func equalSets(a, b map[netip.Addr]bool) bool {
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return true
}

// listener compares what one listener accepts.
func (c *change) listener(old, now *listenerConfig) {
	c.other = c.other || old.pool != now.pool || old.own != now.own || old.localAS != now.localAS || old.holdTime != now.holdTime
	for prefix, n := range now.neighbors {
		before := old.neighbors[prefix]
		if before == nil {
			c.other = true
			before = &neighbor{}
		}
		c.other = c.other || !n.same(before)
		if n.key != before.key {
			c.keys = append(c.keys, keyOp{n.place, n.key})
		}
	}
	for prefix, n := range old.neighbors {
		if now.neighbors[prefix] != nil {
			continue
		}
		c.gone = append(c.gone, n)
		if n.key != "" {
			c.keys = append(c.keys, keyOp{n.place, ""})
		}
	}
}

// same tells whether nothing at all differs.
func (n *neighbor) same(o *neighbor) bool {
	return n.terms == o.terms && n.pool == o.pool && n.customer == o.customer && slices.Equal(n.as, o.as) &&
		n.holdTime == o.holdTime && n.minHoldTime == o.minHoldTime && n.ttlSecurity == o.ttlSecurity && n.secret == o.secret && n.key == o.key &&
		n.limits == o.limits && text(n.problem) == text(o.problem)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
