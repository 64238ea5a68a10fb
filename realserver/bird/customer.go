package bird

import (
	"fmt"
	"slices"
	"strings"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/realserver"
)

// neighborKey names a neighbour of a pool.
type neighborKey struct{ pool, neighbor string }

// flatten turns customers into neighbours of the services, which is all that
// BIRD's configuration here knows. It names those that ask for more.
func flatten(cfg realserver.SpeakerConfig) (realserver.SpeakerConfig, map[neighborKey]error) {
	refused := map[neighborKey]error{}
	cfg.Services = slices.Clone(cfg.Services)
	for i := range cfg.Services {
		s := &cfg.Services[i]
		s.Neighbors = slices.Clone(s.Neighbors)
		for _, c := range cfg.Customers {
			if !slices.Contains(c.Spec.Pools, s.Pool) {
				continue
			}
			missing := unsupported(&c.Spec)
			for j, n := range c.Spec.Neighbors {
				neighbor := api.Neighbor{Name: fmt.Sprintf("%s.%d", c.Name, j+1), Prefix: n.Prefix, MD5Secret: n.MD5Secret}
				if len(n.AS) == 1 {
					neighbor.AS = n.AS[0]
				}
				if len(missing) > 0 {
					refused[neighborKey{s.Pool, neighbor.Name}] = fmt.Errorf("customer %s: BIRD as hosted here has no %s; run the real server with --speaker=native",
						c.Name, strings.Join(missing, ", no "))
				}
				s.Neighbors = append(s.Neighbors, neighbor)
			}
		}
	}
	return cfg, refused
}

// unsupported lists what a customer asks for that BIRD is not configured for.
func unsupported(s *api.CustomerSpec) []string {
	var missing []string
	check := func(asked bool, what string) {
		if asked {
			missing = append(missing, what)
		}
	}
	defaults := &api.Customer{}
	defaults.Default()
	check(s.Mode == api.CustomerReflect, "mode reflect")
	check(s.HoldTime != 0, "hold time of a customer's own")
	check(s.MinHoldTime != defaults.Spec.MinHoldTime, "minHoldTime")
	check(s.TTLSecurity != 0, "ttlSecurity")
	check(s.MaxPrefixes != nil, "maxPrefixes")
	check(s.Limits != api.CustomerLimits{}, "limits")
	check(!slices.Equal(s.Families, defaults.Spec.Families), "choice of families")
	check(slices.ContainsFunc(s.Neighbors, func(n api.CustomerNeighbor) bool { return len(n.AS) > 1 }), "set of AS numbers")
	return missing
}
