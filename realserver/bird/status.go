package bird

import (
	"context"

	"github.com/peerage/peerage/api/node/birdc"
	"github.com/peerage/peerage/realserver"
)

// maxDetails bounds the questions for the address behind a change.
const maxDetails = 16

// transition is a session that came up or went down.
type transition struct {
	protocol  string
	group     *group
	up        bool
	lastError string
}

// Status implements realserver.Speaker. It logs sessions that came up and went
// down since it was last asked.
func (d *Driver) Status(ctx context.Context) (realserver.SpeakerStatus, error) {
	status, err := d.client.Status(ctx)
	if err != nil {
		return realserver.SpeakerStatus{}, err
	}
	d.mu.Lock()
	groups, before := d.groups, d.sessions
	d.mu.Unlock()

	out := realserver.SpeakerStatus{Engine: "bird " + status.Version, Pools: map[string]realserver.SessionCount{}}
	now := map[string]bool{}
	var changes []transition
	err = d.client.EachSummary(ctx, func(p *birdc.Protocol) error {
		parent, _ := parentName(p.Name)
		g := groups[parent]
		if p.BGP == nil || g == nil || g.probe() {
			return nil
		}
		up := p.Established()
		if up != before[p.Name] {
			changes = append(changes, transition{p.Name, g, up, p.BGP.LastError})
		}
		now[p.Name] = up
		if connected(p.BGP.State) {
			count := out.Pools[g.pool]
			count.Sessions++
			if up {
				count.Established++
			}
			out.Pools[g.pool] = count
		}
		return nil
	})
	if err != nil {
		return realserver.SpeakerStatus{}, err
	}
	for name, up := range before {
		parent, _ := parentName(name)
		if _, still := now[name]; up && !still && groups[parent] != nil {
			changes = append(changes, transition{name, groups[parent], false, "no longer configured"})
		}
	}
	if before != nil { // what was there before the agent is no news
		d.tell(ctx, changes)
	}
	d.mu.Lock()
	d.sessions = now
	d.mu.Unlock()
	return out, nil
}

// tell logs changes; of many at once it asks BIRD for a few addresses only.
func (d *Driver) tell(ctx context.Context, changes []transition) {
	for i, c := range changes {
		router := c.group.prefix.String()
		if c.group.dynamic() && i < maxDetails {
			if p, err := d.client.Protocol(ctx, c.protocol); err == nil && p.BGP != nil && p.BGP.Neighbor.IsValid() {
				router = p.BGP.Neighbor.String()
			}
		}
		if c.up {
			d.log.Info("session is up", "pool", c.group.pool, "neighbor", c.group.neighbor, "router", router, "vip", c.group.listener.Addr())
			continue
		}
		d.log.Info("session is down", "pool", c.group.pool, "neighbor", c.group.neighbor, "router", router, "vip", c.group.listener.Addr(), "reason", c.lastError)
	}
}
