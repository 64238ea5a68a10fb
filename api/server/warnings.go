package server

import (
	"fmt"
	"slices"
	"strings"

	"github.com/peerage/peerage/api"
)

// warner collects what is not as it should be.
type warner struct{ list []api.StatusWarning }

func (w *warner) add(severity api.Severity, code api.WarningCode, object, format string, args ...any) {
	w.list = append(w.list, api.StatusWarning{Code: code, Severity: severity, Object: object, Message: fmt.Sprintf(format, args...)})
}

// warnings are derived from the status alone, so that a reader can check them.
func warnings(st *api.Status) []api.StatusWarning {
	w := &warner{list: []api.StatusWarning{}}
	w.store(st)
	for i := range st.LoadBalancers {
		w.lb(&st.LoadBalancers[i])
	}
	for i := range st.Pools {
		w.pool(&st.Pools[i])
	}
	for i := range st.RealServers {
		w.server(&st.RealServers[i])
	}
	rank := []api.Severity{api.SeverityError, api.SeverityWarning, api.SeverityNotice}
	slices.SortStableFunc(w.list, func(a, b api.StatusWarning) int {
		return slices.Index(rank, a.Severity) - slices.Index(rank, b.Severity)
	})
	return w.list
}

func (w *warner) store(st *api.Status) {
	if st.Store.Held != "" {
		w.add(api.SeverityError, api.WarnStoreHeld, "", "the store is not believed: %s; if it is the right one: peeragectl store accept --accept-risk=%s",
			st.Store.Held, api.RiskRestoredStore)
	}
	if st.Store.Stale != "" {
		w.add(api.SeverityError, api.WarnStoreStale, "", "what follows may be old: %s", st.Store.Stale)
	}
	if len(st.Store.Alarms) > 0 {
		w.add(api.SeverityError, api.WarnStoreAlarm, "", "etcd has raised its alarm %s and refuses writes: nothing is planned or taken in until it is disarmed",
			strings.Join(st.Store.Alarms, " and "))
	}
	for _, b := range st.Store.Bad {
		w.add(api.SeverityError, api.WarnBadKey, "", "the value of %s is refused, the last good one stays: %s", b.Key, b.Reason)
	}
	if st.Leader == "" && st.Store.Stale == "" {
		w.add(api.SeverityError, api.WarnNoLeader, "", "no controller is the leader: nothing is planned")
	}
}

func (w *warner) lb(lb *api.LBStatus) {
	object := "LoadBalancer/" + lb.Name
	if !lb.Live {
		w.add(api.SeverityError, api.WarnLBDown, object, "the agent is not alive: what the load balancer does is not known")
		return
	}
	for _, p := range lb.Peers {
		switch {
		case p.State != "" && !p.Up():
			w.add(api.SeverityError, api.WarnPeerDown, object, "the session with fabric router %s is %s", p.Name, p.State)
		case p.BFD != "" && p.BFD != "Up":
			w.add(api.SeverityWarning, api.WarnBFDDown, object, "BFD with fabric router %s is %s", p.Name, p.BFD)
		}
	}
}

func (w *warner) pool(p *api.PoolStatus) {
	object := "Pool/" + p.Name
	if p.Generation == 0 {
		w.add(api.SeverityError, api.WarnNoPlan, object, "the pool has no plan yet")
	}
	if p.Held != nil {
		w.add(api.SeverityError, api.WarnPlanHeld, object, "the plan is held back by %s: %s", p.Held.Guard, p.Held.Reason)
	}
	for _, lb := range p.LBs {
		w.poolLB(p, lb)
	}
	for _, v := range p.VIPs {
		if v.Announced == 0 && p.Generation > 0 {
			w.add(api.SeverityError, api.WarnVIPDown, object, "VIP %s is announced by no load balancer%s", v.VIP, because(v))
			continue
		}
		for _, lb := range v.LBs {
			if lb.Wanted && !lb.Announced && lb.Reason != "" && live(p, lb.LB) {
				w.add(api.SeverityWarning, api.WarnVIPDown, object, "VIP %s is not announced by %s: %s", v.VIP, lb.LB, lb.Reason)
			}
		}
	}
	if p.Generation == 0 {
		return // said once, of the pool
	}
	for _, m := range p.Servers {
		w.member(object, m)
	}
}

func (w *warner) poolLB(p *api.PoolStatus, lb api.PoolLB) {
	object := "Pool/" + p.Name
	if !lb.Live {
		return // said once, of the LB
	}
	if lb.Error != "" {
		w.add(api.SeverityError, api.WarnLBError, object, "%s could not apply the plan in full: %s", lb.LB, lb.Error)
	}
	switch {
	case p.Generation == 0:
	case !lb.Reported:
		w.add(api.SeverityWarning, api.WarnLBBehind, object, "%s has not reported what it runs", lb.LB)
	case lb.Generation != p.Generation:
		w.add(api.SeverityWarning, api.WarnLBBehind, object, "%s runs generation %d, the plan is at %d", lb.LB, lb.Generation, p.Generation)
	case !lb.Agrees:
		w.add(api.SeverityError, api.WarnLBDiffers, object, "%s runs generation %d, but the kernel's table %s is not the plan's %s", lb.LB, lb.Generation, lb.Fingerprint, p.Fingerprint)
	}
	if lb.Reported && !lb.Warm {
		w.add(api.SeverityWarning, api.WarnLBNotWarm, object, "%s does not know all connections yet", lb.LB)
	}
}

func (w *warner) member(pool string, m api.MemberStatus) {
	because := ""
	if m.Reason != "" {
		because = ": " + m.Reason
	}
	switch m.State {
	case api.ServerSuspect:
		w.add(api.SeverityError, api.WarnServerDoubt, pool, "%s looks dead but is kept in service%s", m.Server, because)
		return
	case api.ServerServing:
	case api.ServerDepooled:
		return // said once, of the server
	default:
		w.add(api.SeverityWarning, api.WarnServerSick, pool, "%s is not serving%s", m.Server, because)
		return
	}
	for _, path := range m.Paths {
		if !path.OK {
			w.add(api.SeverityWarning, api.WarnPathDown, pool, "%s does not reach %s: %s", path.LB, m.Server, path.Reason)
		}
	}
}

func (w *warner) server(rs *api.RealServerStatus) {
	object := "RealServer/" + rs.Name
	if !rs.Live {
		w.add(api.SeverityWarning, api.WarnServerDown, object, "peerage-realserver is not alive: its sessions are not counted")
	}
	if d := rs.Depooled; d != nil {
		until := ""
		if !d.Until.IsZero() {
			until = " until " + d.Until.UTC().Format("2006-01-02 15:04 MST")
		}
		w.add(api.SeverityNotice, api.WarnServerOut, object, "depooled by %s%s: %s", d.By, until, d.Reason)
	}
	if o := rs.Weight; o != nil && o.Value != rs.Configured {
		w.add(api.SeverityNotice, api.WarnWeight, object, "weight %d by %s, configured is %d", o.Value, o.By, rs.Configured)
	}
}

// because joins the reasons why a VIP is not announced.
func because(v api.VIPStatus) string {
	var all []string
	for _, lb := range v.LBs {
		if lb.Reason != "" {
			all = append(all, lb.LB+": "+lb.Reason)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, "; ") + ")"
}

func live(p *api.PoolStatus, lb string) bool {
	return slices.ContainsFunc(p.LBs, func(l api.PoolLB) bool { return l.LB == lb && l.Live })
}
