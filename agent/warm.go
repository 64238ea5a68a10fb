package agent

import (
	"net/netip"
	"slices"
	"time"

	"github.com/peerage/peerage/api"
)

// defaultWarmup is used when nothing was configured.
const defaultWarmup = 75 * time.Second

// wakeUp brings the record to this life of the kernel. A kernel that holds
// services of ours was not emptied: its connections are where they were. One
// that holds none, in a life that the record does not know, starts cold.
func (r *record) wakeUp(hostID string, servicesFound bool) {
	if r.HostID == hostID {
		return
	}
	r.HostID = hostID
	r.Warm, r.Listening, r.WarmVIPs = servicesFound, time.Time{}, nil
}

// listen starts the warm-up once the connection sync runs.
func (r *record) listen(now time.Time) {
	if !r.Warm && r.Listening.IsZero() {
		r.Listening = now
	}
}

// settle ends the warm-up when its time is over, and tells how long it still
// takes; 0: it is over or has not begun.
func (r *record) settle(now time.Time, warmup time.Duration) time.Duration {
	if r.Warm || r.Listening.IsZero() {
		return 0
	}
	// A clock that was set back must not hold the LB out for ever.
	if r.Listening.After(now) {
		r.Listening = now
	}
	if left := warmup - now.Sub(r.Listening); left > 0 {
		return left
	}
	r.Warm = true
	return 0
}

// warm tells whether the connection table may be relied on for the VIP. With
// no neighbour announcing it there are no sessions to wait for: but only a
// store that is believed can say so.
func (r *record) warm(vip netip.Addr, others, believed bool) bool {
	return r.Warm || slices.Contains(r.WarmVIPs, vip) || believed && !others
}

// keepWarm remembers a VIP that was announced because nobody else did, so that
// a neighbour that appears later does not make it cold again.
func (r *record) keepWarm(vip netip.Addr) {
	if !r.Warm && !slices.Contains(r.WarmVIPs, vip) {
		r.WarmVIPs = append(r.WarmVIPs, vip)
		slices.SortFunc(r.WarmVIPs, netip.Addr.Compare)
	}
}

// othersAnnounce tells whether a live LB other than self announces the VIP.
func othersAnnounce(s *api.State, self string, vip netip.Addr) bool {
	key := vip.String()
	for _, byLB := range s.Applied {
		for lb, a := range byLB {
			if lb != self && a != nil && s.LiveLBs[lb] != nil && a.VIPs[key].Announced {
				return true
			}
		}
	}
	return false
}
