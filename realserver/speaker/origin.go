package speaker

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/speaker/exchange"
)

// origin is a route of the operators' own with its end.
type origin struct {
	exchange.Origin
	until time.Time // zero: none
}

// originsOf reads the operators' routes. One that cannot be read is a problem
// and is left out.
func originsOf(routes []api.RouteIntent) (all []origin, problems []string) {
	for i := range routes {
		o, err := originOf(&routes[i])
		if err != nil {
			problems = append(problems, fmt.Sprintf("route %s: %v", routes[i].Prefix, err))
			continue
		}
		all = append(all, o)
	}
	return all, problems
}

func originOf(r *api.RouteIntent) (origin, error) {
	o := origin{until: r.Until, Origin: exchange.Origin{
		All: r.Target.All, Customer: r.Target.Customer, Session: r.Target.Session,
		Prefix: r.Prefix.Masked(), NextHop: r.NextHop, MED: r.MED, LocalPref: r.LocalPref,
	}}
	if !r.Prefix.IsValid() || !r.NextHop.IsValid() || r.Prefix.Addr().Is4() != r.NextHop.Is4() {
		return o, fmt.Errorf("the next hop %s is not of the prefix's family", r.NextHop)
	}
	for _, text := range r.Communities {
		c, err := bgp.ParseCommunity(text)
		if err != nil {
			return o, err
		}
		o.Communities = append(o.Communities, uint32(c))
	}
	for _, text := range r.LargeCommunities {
		c, err := bgp.ParseLargeCommunity(text)
		if err != nil {
			return o, err
		}
		o.LargeCommunities = append(o.LargeCommunities, largeParts(c))
	}
	return o, nil
}

func largeParts(c bgp.LargeCommunity) (parts [3]uint32) {
	for i := range parts {
		for _, b := range c[4*i : 4*i+4] {
			parts[i] = parts[i]<<8 | uint32(b)
		}
	}
	return parts
}

// origins hands the routes in force to the exchange, and takes each away at
// its end.
type origins struct {
	exchange *exchange.Exchange

	mu    sync.Mutex // guards the field below
	all   []origin
	again chan struct{} // of one slot: all changed
}

func newOrigins(x *exchange.Exchange) *origins {
	return &origins{exchange: x, again: make(chan struct{}, 1)}
}

// set replaces the routes.
func (o *origins) set(all []origin) (changed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if reflect.DeepEqual(o.all, all) {
		return false
	}
	o.all = all
	o.put(time.Now())
	select {
	case o.again <- struct{}{}:
	default:
	}
	return true
}

// put hands over what is in force and tells when that changes; zero: never. It
// is called with mu held.
func (o *origins) put(now time.Time) (next time.Time) {
	active := make([]exchange.Origin, 0, len(o.all))
	for i := range o.all {
		if until := o.all[i].until; !until.IsZero() {
			if !now.Before(until) {
				continue
			}
			if next.IsZero() || until.Before(next) {
				next = until
			}
		}
		active = append(active, o.all[i].Origin)
	}
	o.exchange.Originate(active)
	return next
}

// run takes routes away when their time is over.
func (o *origins) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.again:
		case <-timer.C:
		}
		o.mu.Lock()
		next := o.put(time.Now())
		o.mu.Unlock()
		wait := time.Hour
		if !next.IsZero() {
			wait = min(wait, time.Until(next)+time.Millisecond)
		}
		timer.Reset(wait)
	}
}
