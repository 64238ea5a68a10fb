package server

import (
	"slices"

	"github.com/peerage/peerage/api"
)

func poolStatus(s *api.State, name string) api.PoolStatus {
	st := api.PoolStatus{Name: name, Agree: true, LBs: []api.PoolLB{}, VIPs: []api.VIPStatus{}, Servers: []api.MemberStatus{}}
	if p := s.Pools[name]; p != nil {
		st.Port, st.Scheduler = p.Spec.Port, p.Spec.Scheduler
	}
	plan := s.Plans[name]
	if plan != nil {
		st.Generation, st.Fingerprint = plan.Generation, api.Fingerprint(plan.Tables())
		st.Port, st.Scheduler, st.Held = plan.Port, plan.Scheduler, plan.Held
	}
	for _, lb := range carriers(s, name) {
		l := poolLB(s, name, lb, st.Fingerprint)
		st.Agree = st.Agree && (l.Agrees || !l.Live)
		st.LBs = append(st.LBs, l)
	}
	// A pool that no LB carries, or that has no plan, is in no agreement.
	st.Agree = st.Agree && plan != nil && slices.ContainsFunc(st.LBs, func(l api.PoolLB) bool { return l.Live })
	st.VIPs = vipStatus(s, name, st.LBs)
	for _, server := range members(s, name) {
		m := memberStatus(s, name, server)
		st.Members++
		if m.Weight > 0 {
			st.Serving++
		}
		if m.Speaker != nil {
			st.Sessions += m.Speaker.Established
		}
		st.Servers = append(st.Servers, m)
	}
	return st
}

// carriers are the LBs of a pool: those of its configuration, those that its
// plan announces on, and those that still report it.
func carriers(s *api.State, pool string) []string {
	names := make(map[string]bool)
	if p := s.Pools[pool]; p != nil {
		for _, n := range p.Spec.LoadBalancers {
			names[n] = true
		}
		if len(p.Spec.LoadBalancers) == 0 {
			for n := range s.LoadBalancers {
				names[n] = true
			}
		}
	}
	if plan := s.Plans[pool]; plan != nil {
		for _, a := range plan.Announcements {
			names[a.LB] = true
		}
	}
	for n := range s.Applied[pool] {
		names[n] = true
	}
	return keys(names)
}

func poolLB(s *api.State, pool, lb, fingerprint string) api.PoolLB {
	l := api.PoolLB{LB: lb, Live: s.LiveLBs[lb] != nil}
	a := s.Applied[pool][lb]
	if a == nil {
		return l
	}
	l.Reported, l.Generation, l.Fingerprint, l.At = true, a.Generation, a.Fingerprint, a.At
	l.Warm, l.Took, l.Drift, l.Error = a.Warm, a.Took, a.Drift, a.Error
	plan := s.Plans[pool]
	l.Agrees = plan != nil && a.Generation == plan.Generation && a.Fingerprint == fingerprint
	return l
}

func vipStatus(s *api.State, pool string, lbs []api.PoolLB) []api.VIPStatus {
	all := []api.VIPStatus{}
	plan := s.Plans[pool]
	if plan == nil {
		if p := s.Pools[pool]; p != nil {
			for _, vip := range p.Spec.VIPs {
				all = append(all, api.VIPStatus{VIP: vip, LBs: []api.VIPLB{}})
			}
		}
		return all
	}
	for _, vip := range plan.VIPs {
		st := api.VIPStatus{VIP: vip, LBs: []api.VIPLB{}}
		for _, lb := range lbs {
			i := slices.IndexFunc(plan.Announcements, func(a api.Announcement) bool { return a.LB == lb.LB && a.VIP == vip })
			v := api.VIPLB{LB: lb.LB}
			if i >= 0 {
				a := plan.Announcements[i]
				v.Wanted, v.MED, v.Reason = a.Announce, a.MED, a.Reason
			}
			seen(s, pool, vip.String(), &v)
			if i < 0 && !v.Announced {
				continue
			}
			if v.Announced {
				st.Announced++
			}
			st.LBs = append(st.LBs, v)
		}
		all = append(all, st)
	}
	return all
}

// seen adds what the LB reports of a VIP. An LB whose lease ended is taken to
// announce nothing: what it last said proves nothing.
func seen(s *api.State, pool, vip string, v *api.VIPLB) {
	if s.LiveLBs[v.LB] == nil {
		v.Reason = "the LB's agent is not alive"
		return
	}
	a := s.Applied[pool][v.LB]
	if a == nil {
		v.Reason = first(v.Reason, "the LB has not reported yet")
		return
	}
	ann := a.VIPs[vip]
	v.Announced = ann.Announced
	if ann.Announced {
		v.MED = ann.MED
	} else {
		v.Reason = first(ann.Reason, v.Reason)
	}
	v.BFD = bfd(s, v.LB)
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// bfd sums up the BFD sessions of an LB.
func bfd(s *api.State, lb string) string {
	reported := peers(s, lb)
	sum := ""
	for _, name := range keys(reported) {
		switch state := reported[name].BFD; state {
		case "":
		case "Up":
			sum = state
		default:
			return state
		}
	}
	return sum
}

func memberStatus(s *api.State, pool, server string) api.MemberStatus {
	m := api.MemberStatus{Server: server, Live: s.LiveRealServers[server] != nil, Paths: []api.PathStatus{}}
	m.Reason = "not in the plan yet"
	if plan := s.Plans[pool]; plan != nil {
		i := slices.IndexFunc(plan.Destinations, func(d api.Destination) bool { return d.Server == server })
		if i >= 0 {
			d := plan.Destinations[i]
			m.State, m.Nominal, m.Weight, m.Since, m.Reason = d.State, d.Nominal, d.Weight, d.Since, d.Reason
		}
	}
	if o := s.Servers[server]; o != nil {
		if h, ok := o.Pools[pool]; ok {
			m.Speaker = &h
		}
	}
	for _, lb := range keys(s.Paths) {
		if p, ok := s.Paths[lb].Paths[pool][server]; ok && s.LiveLBs[lb] != nil {
			m.Paths = append(m.Paths, api.PathStatus{LB: lb, Path: p})
		}
	}
	return m
}
