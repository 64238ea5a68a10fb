package api

import "time"

// The defaults of a site. Each is explained at its field.
const (
	defaultPort       = 179
	defaultHoldTime   = Duration(90 * time.Second)
	defaultMED        = 100
	defaultBFD        = Duration(200 * time.Millisecond)
	defaultMultiplier = 3
	defaultGuard      = 50 // per cent
	defaultMinHold    = Duration(3 * time.Second)
	defaultWarnAt     = 80 // per cent
)

// fill sets a field that was left out.
func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Default implements Object.
func (p *Pool) Default() {
	s := &p.Spec
	if s.RealServers == nil { // JSON null is no list
		s.RealServers = []string{}
	}
	fill(&s.Port, defaultPort)
	fill(&s.Scheduler, SchedulerMH)
	fill(&s.Forwarding, ForwardingDSR)

	fill(&s.HealthCheck.Type, HealthCheckBGP)
	fill(&s.HealthCheck.Interval, Duration(time.Second))
	fill(&s.HealthCheck.Timeout, Duration(time.Second))
	fill(&s.HealthCheck.Fall, 3)
	fill(&s.HealthCheck.Rise, 2)

	half := Quota{N: defaultGuard, Percent: true}
	fill(&s.Guards.MinHealthy, half)
	fill(&s.Guards.MaxDepooled, half)
	fill(&s.Guards.MaxShrink, half)

	fill(&s.Speaker.HoldTime, defaultHoldTime)
}

// Default implements Object.
func (l *LoadBalancer) Default() {
	s := &l.Spec
	if s.MED == nil {
		s.MED = new(uint32(defaultMED))
	}
	if len(s.Fabric.Peers) == 0 {
		return
	}
	for i := range s.Fabric.Peers {
		peer := &s.Fabric.Peers[i]
		if peer.BFD == nil {
			peer.BFD = new(true)
		}
		fill(&peer.HoldTime, defaultHoldTime)
	}
	for _, a := range s.Addresses {
		if a.Is4() {
			fill(&s.Fabric.RouterID, a)
		}
	}
	fill(&s.Fabric.BFD.Interval, defaultBFD)
	fill(&s.Fabric.BFD.Multiplier, defaultMultiplier)
}

// Default implements Object.
func (r *RealServer) Default() { fill(&r.Spec.Weight, 1) }

// Default implements Object.
func (c *Customer) Default() {
	s := &c.Spec
	if s.Pools == nil { // JSON null is no list
		s.Pools = []string{}
	}
	if s.Neighbors == nil {
		s.Neighbors = []CustomerNeighbor{}
	}
	if len(s.Families) == 0 {
		s.Families = AddressFamilies()
	}
	fill(&s.Mode, CustomerCollect)
	fill(&s.MinHoldTime, defaultMinHold)
	if s.MaxPrefixes != nil {
		fill(&s.MaxPrefixes.Action, MaxPrefixesClose)
		fill(&s.MaxPrefixes.WarnAt, defaultWarnAt)
	}
}

// Default implements Object. The name is not filled in: a site without
// settings has a Settings without a name.
func (s *Settings) Default() {
	fill(&s.Spec.ConnSync.ID, 1)
	fill(&s.Spec.ConnSync.RefreshPeriod, Duration(10*time.Second))
	fill(&s.Spec.ConnSync.Warmup, Duration(75*time.Second))
	fill(&s.Spec.LeaseTTL, Duration(10*time.Second))
	fill(&s.Spec.ObserveInterval, Duration(5*time.Second))
}
