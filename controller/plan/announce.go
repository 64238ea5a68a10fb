package plan

import (
	"net/netip"
	"slices"

	"github.com/peerage/peerage/api"
)

// announcements has an entry for every load balancer and VIP, also for load
// balancers that are not live: whether one is reachable is for BFD to say, and
// the fabric acts on it faster than any plan could.
func (p *planner) announcements(s shape, h health) []api.Announcement {
	as := make([]api.Announcement, 0, len(s.carriers)*len(s.vips))
	for _, c := range s.carriers {
		for _, vip := range s.vips {
			a := api.Announcement{LB: c.lb, VIP: vip, Announce: true, MED: c.med}
			if ill := h.sick[c.lb]; ill.lasts && p.covered(s, h, a) {
				a.Announce, a.Reason = false, ill.reason
				if old := p.withdrawn(c.lb); old != "" {
					a.Reason = old
				}
			}
			as = append(as, a)
		}
	}
	return as
}

// withdrawn is why the plan before withdraws the load balancer, or empty.
func (p *planner) withdrawn(lb string) string {
	if p.prev == nil {
		return ""
	}
	for _, a := range p.prev.Announcements {
		if a.LB == lb && !a.Announce {
			return a.Reason
		}
	}
	return ""
}

// announced is what the plan before says of one VIP on one load balancer.
func (p *planner) announced(lb string, vip netip.Addr) bool {
	if p.prev == nil {
		return true
	}
	return !slices.ContainsFunc(p.prev.Announcements, func(a api.Announcement) bool {
		return a.LB == lb && a.VIP == vip && !a.Announce
	})
}

// covered tells whether another load balancer announces the VIP, so that a sick
// one can go: one that is live and not sick itself, and that has BIRD's word for
// the announcement. To withdraw, it must also run the newest plan; to stay
// withdrawn it need not, since the withdrawal itself made a newer one.
func (p *planner) covered(s shape, h health, a api.Announcement) bool {
	stays := !p.announced(a.LB, a.VIP)
	for _, c := range s.carriers {
		applied := p.State.Applied[p.name][c.lb]
		if _, sick := h.sick[c.lb]; c.lb == a.LB || sick || p.State.LiveLBs[c.lb] == nil || applied == nil {
			continue
		}
		current := p.prev != nil && applied.Generation == p.prev.Generation && applied.Error == ""
		if applied.VIPs[a.VIP.String()].Announced && (stays || current) {
			return true
		}
	}
	return false
}

// Agreement tells which live load balancers of a plan hold the same table as
// the plan, by generation and fingerprint. Both lists are sorted.
func Agreement(state *api.State, p *api.Plan) (agree, differ []string) {
	want := api.Fingerprint(p.Tables())
	last := ""
	for _, a := range p.Announcements { // sorted by LB
		if a.LB == last || state.LiveLBs[a.LB] == nil {
			continue
		}
		last = a.LB
		applied := state.Applied[p.Pool][a.LB]
		if applied != nil && applied.Generation == p.Generation && applied.Fingerprint == want && applied.Error == "" {
			agree = append(agree, a.LB)
		} else {
			differ = append(differ, a.LB)
		}
	}
	return agree, differ
}
