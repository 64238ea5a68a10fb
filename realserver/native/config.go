package native

import (
	"cmp"
	"slices"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/realserver"
	"github.com/peerage/peerage/realserver/speaker/control"
)

// Config is the speaker's configuration. The neighbours that stand in a pool
// become customers of their own, in mode collect.
func Config(cfg realserver.SpeakerConfig) control.Config {
	out := control.Config{
		Schema: control.Schema, RouterID: cfg.RouterID, Own: cfg.Own, Probes: cfg.Probes,
		Services: []control.Service{}, Customers: []control.Customer{},
		Routes: cfg.Routes, Additive: cfg.Additive,
	}
	for _, s := range cfg.Services {
		out.Services = append(out.Services, control.Service{
			Pool: s.Pool, VIPs: s.VIPs, Port: s.Port, LocalAS: s.LocalAS, HoldTime: s.HoldTime,
		})
		for _, n := range s.Neighbors {
			out.Customers = append(out.Customers, anonymous(s.Pool, n))
		}
	}
	for _, c := range cfg.Customers {
		out.Customers = append(out.Customers, control.Customer{Name: c.Name, CustomerSpec: c.Spec})
	}
	slices.SortFunc(out.Customers, func(a, b control.Customer) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// anonymous is the customer that a pool's neighbour is. No Customer has its
// name: a dot is not allowed there.
func anonymous(pool string, n api.Neighbor) control.Customer {
	c := &api.Customer{Meta: api.Meta{Name: pool + "." + n.Name}, Spec: api.CustomerSpec{
		Pools: []string{pool}, Neighbors: []api.CustomerNeighbor{{Prefix: n.Prefix, MD5Secret: n.MD5Secret}},
	}}
	if n.AS != 0 {
		c.Spec.Neighbors[0].AS = []uint32{n.AS}
	}
	c.Default()
	return control.Customer{Name: c.Name, CustomerSpec: c.Spec}
}
