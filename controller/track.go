package controller

import (
	"fmt"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/controller/plan"
)

// track follows the plan of one pool through a leadership: what was decided,
// what was sent, and what the mirror has shown of it. The leader is the only
// writer of plans, so that anything else which the mirror shows was written by
// no controller, and is replaced by what the leader knows.
type track struct {
	// plan is the newest decision; nil when there is none.
	plan *api.Plan
	// unsure tells that the newest decision may not have reached the store.
	unsure bool
	// sent are decisions that the mirror has not shown yet, oldest first.
	sent []*api.Plan
	// seen is what the mirror showed last.
	seen *api.Plan
	// told is the plan that the audit trail knows of.
	told *api.Plan
	// blocked is why nothing was planned in the last round.
	blocked string
}

// trackOf begins with a plan and what the mirror shows now.
func trackOf(p, seen *api.Plan) track { return track{plan: p, told: p, seen: seen} }

// maxSent bounds how many writes the mirror may be behind. It is far beyond
// what the bound on rounds allows while the store answers at all.
const maxSent = 1024

// look takes what the mirror shows. It returns why the plan has to be
// repaired, if it has.
func (t *track) look(shown *api.Plan) (repair string) {
	if shown == t.seen {
		return ""
	}
	t.seen = shown
	for i, p := range t.sent {
		if shown != nil && plan.Same(p, shown) {
			t.sent = t.sent[i+1:]
			if len(t.sent) == 0 {
				t.unsure = false
			}
			return ""
		}
	}
	if shown == nil && t.plan == nil {
		return "" // the removal that was asked for
	}
	return t.repair(shown)
}

// repair decides for the plan that was, with a generation beyond any that a
// node may have seen.
func (t *track) repair(shown *api.Plan) string {
	if t.plan == nil { // removed, and now there is something again
		*t = trackOf(shown, shown)
		return ""
	}
	next := *t.plan
	why := fmt.Sprintf("the plan was removed by no controller; generation %d is written again", next.Generation)
	if shown != nil {
		next.Generation = max(next.Generation, shown.Generation)
		why = fmt.Sprintf("generation %d was written by no controller; what generation %d was is written again", shown.Generation, t.plan.Generation)
	}
	next.Generation++
	t.plan, t.unsure = &next, true
	return why
}

// send notes a decision before it is written: whether a write that failed did
// reach the store is known only by what the mirror shows.
func (t *track) send(p *api.Plan) {
	t.plan, t.unsure = p, true
	if n := len(t.sent); n == 0 || t.sent[n-1] != p {
		t.sent = append(t.sent, p)
	}
	if len(t.sent) > maxSent {
		t.sent = t.sent[1:]
	}
}
