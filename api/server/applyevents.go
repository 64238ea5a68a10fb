package server

import (
	"fmt"

	"github.com/peerage/peerage/api"
)

// maxApplyEvents bounds the events of one change: a transaction is bounded,
// and a trail that one apply fills says nothing of what was before.
const maxApplyEvents = 20

// events tells of each object, or of many at once.
func (c *change) events() []api.Event {
	var list []api.Event
	count := map[api.Action]int{}
	for _, o := range c.result.Objects {
		if o.Action == api.ActionUnchanged {
			continue
		}
		verb := "apply"
		if o.Action == api.ActionDeleted {
			verb = "delete"
		}
		count[o.Action]++
		list = append(list, api.Event{By: c.actor, Verb: verb, Object: o.Key(), Reason: c.reason, Message: sentence(o, c.accepted)})
	}
	if len(list) <= maxApplyEvents {
		return list
	}
	text := fmt.Sprintf("%d objects created, %d changed, %d deleted", count[api.ActionCreated], count[api.ActionChanged], count[api.ActionDeleted])
	if len(c.accepted) > 0 {
		text += "; accepted: " + joinRisks(c.accepted)
	}
	return []api.Event{{By: c.actor, Verb: "apply", Object: c.subject(), Reason: c.reason, Message: text}}
}

// sentence says what was done to an object.
func sentence(o api.ObjectChange, accepted []api.Risk) string {
	text := string(o.Action)
	if o.Action == api.ActionChanged {
		text = fmt.Sprintf("changed to generation %d", o.Generation)
		for i, f := range o.Fields {
			if i == 3 {
				text += fmt.Sprintf(" and %d more", len(o.Fields)-i)
				break
			}
			text += []string{": ", ", ", ", "}[i] + f.Path
		}
	}
	if len(accepted) > 0 {
		text += "; accepted: " + joinRisks(accepted)
	}
	return text
}
