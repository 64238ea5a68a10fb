package plan

import (
	"cmp"
	"fmt"

	"github.com/peerage/peerage/api"
)

// Change is one difference between two plans in words, for the audit trail.
type Change struct {
	// Verb is plan, depool, pool, weight, health, withdraw, announce, hold or
	// release.
	Verb string
	// Object is what changed, such as RealServer/rs-1.
	Object  string
	Reason  string
	Message string
}

// Changes lists what differs, in a fixed order: the plan, servers in canonical
// order, announcements, holds. Before may be nil.
func Changes(before, after *api.Plan) []Change {
	pool := "Pool/" + after.Pool
	if before == nil {
		cs := []Change{{Verb: "plan", Object: pool, Message: fmt.Sprintf("generation %d: the first plan, %d real servers, %d VIPs",
			after.Generation, len(after.Destinations), len(after.VIPs))}}
		return append(cs, heldChange(nil, after.Held, pool)...)
	}
	var cs []Change
	if before.Generation != after.Generation {
		cs = append(cs, Change{Verb: "plan", Object: pool, Message: fmt.Sprintf("generation %d follows %d", after.Generation, before.Generation)})
		cs = append(cs, serverChanges(before, after)...)
		cs = append(cs, announcementChanges(before, after)...)
	}
	return append(cs, heldChange(before.Held, after.Held, pool)...)
}

func serverChanges(before, after *api.Plan) (cs []Change) {
	old := make(map[string]api.Destination, len(before.Destinations))
	for _, d := range before.Destinations {
		old[d.Server] = d
	}
	for _, d := range after.Destinations {
		was, ok := old[d.Server]
		delete(old, d.Server)
		c := Change{Object: "RealServer/" + d.Server, Reason: d.Reason}
		switch {
		case !ok:
			c.Verb, c.Message = "plan", fmt.Sprintf("pool %s: added as %s at weight %d", after.Pool, d.State, d.Weight)
		case was.State != d.State:
			c.Verb, c.Message = stateVerb(was.State, d.State),
				fmt.Sprintf("pool %s: %s, was %s; weight %d, was %d", after.Pool, d.State, was.State, d.Weight, was.Weight)
		case was.Nominal != d.Nominal:
			c.Verb, c.Message = "weight", fmt.Sprintf("pool %s: nominal weight %d, was %d", after.Pool, d.Nominal, was.Nominal)
		default:
			continue
		}
		cs = append(cs, c)
	}
	for _, d := range before.Destinations {
		if _, gone := old[d.Server]; gone {
			cs = append(cs, Change{Verb: "plan", Object: "RealServer/" + d.Server,
				Message: fmt.Sprintf("pool %s: removed, was %s", after.Pool, d.State)})
		}
	}
	return cs
}

func stateVerb(was, is api.ServerState) string {
	switch {
	case is == api.ServerDepooled:
		return "depool"
	case was == api.ServerDepooled:
		return "pool"
	}
	return "health"
}

// announcementChanges tells each load balancer's once, by its first VIP.
func announcementChanges(before, after *api.Plan) (cs []Change) {
	type key struct{ lb, vip string }
	old := make(map[key]api.Announcement, len(before.Announcements))
	for _, a := range before.Announcements {
		old[key{a.LB, a.VIP.String()}] = a
	}
	last := ""
	for _, a := range after.Announcements {
		was, ok := old[key{a.LB, a.VIP.String()}]
		if !ok || was.Announce == a.Announce || a.LB == last {
			continue
		}
		last = a.LB
		c := Change{Verb: "announce", Object: "LoadBalancer/" + a.LB, Reason: cmp.Or(a.Reason, "it is well again, or nobody else announces")}
		c.Message = fmt.Sprintf("pool %s: announces its VIPs again", after.Pool)
		if !a.Announce {
			c.Verb, c.Message = "withdraw", fmt.Sprintf("pool %s: withdraws its VIPs", after.Pool)
		}
		cs = append(cs, c)
	}
	return cs
}

func heldChange(was, is *api.Held, pool string) []Change {
	switch {
	case is == nil && was != nil:
		return []Change{{Verb: "release", Object: pool, Message: "nothing is held back any more, was: " + was.Guard}}
	case is != nil && (was == nil || was.Guard != is.Guard):
		return []Change{{Verb: "hold", Object: pool, Reason: is.Reason, Message: "held back by " + is.Guard}}
	}
	return nil
}
