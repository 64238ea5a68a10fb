package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/peerage/peerage/api"
)

// verdict is a three-valued answer: no is an answer, silence is none.
type verdict int

const (
	unknown verdict = iota
	good
	dead
)

// health is what is measured of one pool.
type health struct {
	servers map[string]finding
	// sick are the load balancers whose judgement is not believed.
	sick map[string]illness
}

// finding is the verdict on one server, with the reason when it is dead.
type finding struct {
	verdict verdict
	reason  string
}

// witness is a live load balancer with a report on the pool.
type witness struct {
	lb    string
	at    time.Time // of the report, by its own clock
	paths map[string]api.Path
}

// illness is why a load balancer is not believed, and whether that has lasted
// long enough to withdraw it.
type illness struct {
	reason string
	lasts  bool
}

// measure judges every member.
func (p *planner) measure(s shape) health {
	own := make(map[string]finding, len(s.members))
	for _, m := range s.members {
		own[m.server] = p.own(m.server)
	}
	witnesses := p.witnesses(s.carriers)
	h := health{servers: make(map[string]finding, len(s.members)), sick: p.sick(s, witnesses, own)}
	voters := slices.DeleteFunc(witnesses, func(w witness) bool { _, sick := h.sick[w.lb]; return sick })
	for server, t := range count(voters, s.members) {
		h.servers[server] = finding{judge(own[server].verdict, t.majority()), own[server].reason}
		if f := h.servers[server]; f.verdict == dead && f.reason == "" {
			f.reason = fmt.Sprintf("%d of %d load balancers cannot reach it: %s", t.votes-t.ok, t.votes, t.reason)
			h.servers[server] = f
		}
	}
	return h
}

// judge combines a server's own report with that of the load balancers: a no
// from either is a no; a silent server is as good as its paths; silent load
// balancers leave the question open.
func judge(own, paths verdict) verdict {
	if own == dead {
		return own
	}
	return paths
}

// own is what a real server says of its speaker. A report counts while the
// node is live and the report is not from before its start: both stamps are of
// the node's own clock, so that skew between machines does not matter. It is not
// judged by its age, since a node does not repeat what has not changed.
func (p *planner) own(server string) finding {
	live, o := p.State.LiveRealServers[server], p.State.Servers[server]
	if live == nil || o == nil || o.At.Before(live.StartedAt) {
		return finding{}
	}
	h, ok := o.Pools[p.name]
	switch {
	case !ok:
		return finding{}
	case h.OK:
		return finding{verdict: good}
	}
	return finding{dead, "it reports: " + cmp.Or(h.Reason, "its speaker is not healthy")}
}

// witnesses are the carriers with a report, sorted by name. A report of a
// former life of the agent is none.
func (p *planner) witnesses(carriers []carrier) []witness {
	var ws []witness
	for _, c := range carriers {
		live, o := p.State.LiveLBs[c.lb], p.State.Paths[c.lb]
		if live == nil || o == nil || o.At.Before(live.StartedAt) || len(o.Paths[p.name]) == 0 {
			continue
		}
		ws = append(ws, witness{c.lb, o.At, o.Paths[p.name]})
	}
	return ws
}

// tally counts the load balancers that report on one server.
type tally struct {
	votes, ok int
	reason    string // of the first that cannot reach it
}

func count(ws []witness, members []member) map[string]tally {
	tallies := make(map[string]tally, len(members))
	for _, m := range members {
		var t tally
		for _, w := range ws {
			path, reported := w.paths[m.server]
			switch {
			case !reported:
				continue
			case path.OK:
				t.ok++
			case t.reason == "":
				t.reason = cmp.Or(path.Reason, "probe failed")
			}
			t.votes++
		}
		tallies[m.server] = t
	}
	return tallies
}

// without is the tally of the others.
func (t tally) without(w witness, server string) tally {
	if path, reported := w.paths[server]; reported {
		t.votes--
		if path.OK {
			t.ok--
		}
	}
	return t
}

// majority asks for more than half of the reporting load balancers: with two
// that disagree a server gets no new sessions, and keeps those that it has.
func (t tally) majority() verdict {
	switch {
	case t.votes == 0:
		return unknown
	case 2*t.ok > t.votes:
		return good
	}
	return dead
}

// A load balancer becomes sick when it reports more than half of what others
// see alive as dead, and recovers at a quarter or less; the gap keeps one that
// hovers at the limit from going in and out.
const (
	sickAbove     = 2 // more than 1/2
	sickStayAbove = 4 // more than 1/4
)

// sick finds the load balancers that see many servers dead while the others
// see them alive. One whose report is missing, or has nothing to be compared
// with, stays what it was.
//
// Its votes are ignored at once, which changes nothing for any customer. It is
// withdrawn when its view has lasted for a while, by its own clock: of a failure
// that everybody will notice, somebody is always the first to tell.
func (p *planner) sick(s shape, ws []witness, own map[string]finding) map[string]illness {
	sick := map[string]illness{}
	for _, c := range s.carriers {
		if reason := p.withdrawn(c.lb); reason != "" {
			sick[c.lb] = illness{reason, true}
		}
	}
	tallies := count(ws, s.members)
	for _, w := range ws {
		alive, missed, lasting := 0, 0, 0
		for _, m := range s.members {
			others := tallies[m.server].without(w, m.server).majority()
			if judge(own[m.server].verdict, others) != good {
				continue
			}
			alive++
			if path, reported := w.paths[m.server]; reported && !path.OK {
				missed++
				if w.at.Sub(path.Since) >= wave(s.check)/2 {
					lasting++
				}
			}
		}
		share := sickAbove
		if sick[w.lb].lasts {
			share, lasting = sickStayAbove, missed
		}
		switch {
		case missed*share > alive:
			sick[w.lb] = illness{
				reason: fmt.Sprintf("it reports %d of %d real servers dead that other load balancers reach", missed, alive),
				lasts:  lasting*share > alive,
			}
		case alive > 0:
			delete(sick, w.lb)
		}
	}
	return sick
}

// wave is the time in which every load balancer has noticed one and the same
// failure: a probe falls after fall intervals with a timeout each, doubled for
// reports that are late.
func wave(c api.HealthCheck) time.Duration {
	return 2 * time.Duration(c.Fall) * time.Duration(c.Interval+c.Timeout)
}
