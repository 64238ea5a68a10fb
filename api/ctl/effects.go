package ctl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/peerage/peerage/api"
)

// effects says in lines what a change does to the pools and to customers.
func effects(p api.Preview) []string {
	var lines []string
	for _, pool := range p.Pools {
		lines = append(lines, poolEffects(pool)...)
	}
	for _, c := range p.Customers {
		for _, effect := range c.Effects {
			lines = append(lines, fmt.Sprintf("customer %s: %s", c.Customer, effect))
		}
	}
	return lines
}

func poolEffects(p api.PoolPreview) []string {
	switch {
	case p.After == nil && p.Before == nil:
		return nil
	case p.After == nil:
		return []string{fmt.Sprintf("pool %s: goes, with %s", p.Pool, vips(p.Before))}
	case p.Before == nil:
		return []string{fmt.Sprintf("pool %s: is new, with %s and %d real servers", p.Pool, vips(p.After), len(p.After.Destinations))}
	}
	lines := []string{fmt.Sprintf("pool %s: generation %d -> %d", p.Pool, p.Before.Generation, p.After.Generation)}
	if a, b := vips(p.Before), vips(p.After); a != b {
		lines = append(lines, fmt.Sprintf("  serves %s instead of %s", b, a))
	}
	lines = append(lines, destinationEffects(p.Before, p.After)...)
	lines = append(lines, announcementEffects(p.Before, p.After)...)
	if held := p.After.Held; held != nil {
		lines = append(lines, fmt.Sprintf("  held back by %s: %s", held.Guard, held.Reason))
	}
	return lines
}

func vips(p *api.Plan) string {
	texts := make([]string, len(p.VIPs))
	for i, v := range p.VIPs {
		texts[i] = v.String()
	}
	return fmt.Sprintf("%s port %d", strings.Join(texts, ", "), p.Port)
}

func destinationEffects(before, after *api.Plan) []string {
	var lines []string
	for _, d := range after.Destinations {
		i := slices.IndexFunc(before.Destinations, func(o api.Destination) bool { return o.Server == d.Server })
		if i < 0 {
			lines = append(lines, fmt.Sprintf("  %s joins, %s", d.Server, standing(d)))
			continue
		}
		if was := before.Destinations[i]; standing(was) != standing(d) {
			lines = append(lines, fmt.Sprintf("  %s: %s -> %s", d.Server, standing(was), standing(d)))
		}
	}
	for _, d := range before.Destinations {
		if !slices.ContainsFunc(after.Destinations, func(o api.Destination) bool { return o.Server == d.Server }) {
			lines = append(lines, fmt.Sprintf("  %s leaves; sessions that it still holds are reset", d.Server))
		}
	}
	return lines
}

// standing is state and weight of a destination.
func standing(d api.Destination) string {
	if d.Weight == d.Nominal {
		return fmt.Sprintf("%s, weight %d", d.State, d.Weight)
	}
	return fmt.Sprintf("%s, weight %d of %d", d.State, d.Weight, d.Nominal)
}

func announcementEffects(before, after *api.Plan) []string {
	was := make(map[string]string)
	for _, a := range before.Announcements {
		was[a.LB+" "+a.VIP.String()] = announcement(a)
	}
	var lines []string
	for _, a := range after.Announcements {
		key := a.LB + " " + a.VIP.String()
		if old := was[key]; old != announcement(a) {
			lines = append(lines, fmt.Sprintf("  %s: %s %s", a.LB, announcement(a), a.VIP))
		}
		delete(was, key)
	}
	for _, a := range before.Announcements {
		if _, left := was[a.LB+" "+a.VIP.String()]; left && a.Announce {
			lines = append(lines, fmt.Sprintf("  %s: withdraws %s", a.LB, a.VIP))
		}
	}
	return lines
}

func announcement(a api.Announcement) string {
	if !a.Announce {
		return "withdraws"
	}
	return fmt.Sprintf("announces with MED %d", a.MED)
}
