package ipvs

import (
	"net/netip"
	"slices"

	"github.com/peerage/peerage/api"
)

// diff computes the fewest changes that make actual equal to desired.
//
// Destinations are in the order of insertion in both. In actual the nominal
// weight of a destination at weight 0 is the one that the kernel remembers, or
// 0 when that is not known.
//
// The order of the changes is a safety property: first what gives service (new
// services, new destinations, raised weights), then what takes a destination
// out, then deletions; whole services go last. A killed process leaves a table
// that serves, and the next diff carries on from there.
func diff(desired, actual []api.Table) []op {
	have := make(map[netip.AddrPort]api.Table, len(actual))
	for _, t := range actual {
		have[key(t)] = t
	}
	var give, take, remove []op
	for _, want := range desired {
		service := key(want)
		got, ok := have[service]
		switch {
		case !ok:
			give = append(give, op{action: addService, service: service, scheduler: want.Scheduler, flags: want.Flags})
		case got.Scheduler != want.Scheduler || !sameSet(got.Flags, want.Flags):
			give = append(give, op{action: editService, service: service, scheduler: want.Scheduler, flags: want.Flags})
		}
		g, t, r := diffDestinations(service, want.Destinations, got.Destinations)
		give, take, remove = append(give, g...), append(take, t...), append(remove, r...)
		delete(have, service)
	}
	ops := slices.Concat(give, take, remove)
	for _, t := range actual {
		if _, left := have[key(t)]; left {
			ops = append(ops, op{action: deleteService, service: key(t)})
		}
	}
	return ops
}

// diffDestinations returns what adds, what takes out and what deletes.
//
// The kernel appends a new destination to the order of insertion and never
// moves one. So the longest head of want that actual holds in the same order
// can stay; every later destination must be added behind it, and one that is
// there already is out of place: it is deleted and added again. Its sessions
// survive that, because the kernel keeps a deleted destination for a while and
// gives it back to them when it returns (holdSessions).
func diffDestinations(service netip.AddrPort, want, got []api.TableDestination) (give, take, remove []op) {
	kept := keptHead(want, got)
	if kept == len(want) && kept == len(got) {
		// The ordinary case: nobody came, went or moved.
		for i, d := range want {
			up, down := reweigh(service, d, got[i])
			give, take = append(give, up...), append(take, down...)
		}
		return give, take, nil
	}
	have := make(map[netip.AddrPort]api.TableDestination, len(got))
	for _, d := range got {
		have[address(d)] = d
	}
	holding := false
	for i, d := range want {
		old, present := have[address(d)]
		delete(have, address(d))
		if i < kept {
			up, down := reweigh(service, d, old)
			give, take = append(give, up...), append(take, down...)
			continue
		}
		if present {
			if !holding {
				give = append(give, op{action: holdSessions, service: service})
				holding = true
			}
			give = append(give, op{action: deleteDestination, service: service, destination: old})
		}
		give = append(give, write(addDestination, service, d, d.Nominal))
		if d.Weight != d.Nominal {
			give = append(give, write(editDestination, service, d, d.Weight))
		}
	}
	if holding {
		give = append(give, op{action: releaseSessions, service: service})
	}
	for _, d := range got {
		if _, left := have[address(d)]; left {
			remove = append(remove, op{action: deleteDestination, service: service, destination: d})
		}
	}
	return give, take, remove
}

// reweigh returns the changes of a destination that keeps its place: those that
// raise or keep its weight, or those that end at weight 0.
//
// mh builds its table with the last weight that was not 0. To be at weight 0
// with another nominal weight, a destination is given that weight first.
func reweigh(service netip.AddrPort, want, got api.TableDestination) (up, down []op) {
	remembered := got.Nominal
	if got.Weight != 0 {
		remembered = got.Weight
	}
	if want.Weight == 0 {
		if remembered != want.Nominal {
			down = append(down, write(editDestination, service, want, want.Nominal))
			got.Weight = want.Nominal
		}
		if got.Weight != 0 || got.Forwarding != want.Forwarding {
			down = append(down, write(editDestination, service, want, 0))
		}
		return nil, down
	}
	if got.Weight != want.Weight || got.Forwarding != want.Forwarding {
		up = append(up, write(editDestination, service, want, want.Weight))
	}
	return up, nil
}

// keptHead is how many destinations at the head of want stand in got in the
// same order, whatever stands between them.
func keptHead(want, got []api.TableDestination) int {
	kept := 0
	for _, d := range got {
		if kept < len(want) && address(d) == address(want[kept]) {
			kept++
		}
	}
	return kept
}

func write(a action, service netip.AddrPort, d api.TableDestination, weight int) op {
	d.Weight = weight
	return op{action: a, service: service, destination: d}
}

func key(t api.Table) netip.AddrPort { return netip.AddrPortFrom(t.VIP, t.Port) }

func address(d api.TableDestination) netip.AddrPort { return netip.AddrPortFrom(d.Addr, d.Port) }

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// advance is the pure model of an op: what the tables are after it. A nominal
// weight is the one that the kernel remembers, as in diff.
func advance(tables []api.Table, o op) []api.Table {
	at := slices.IndexFunc(tables, func(t api.Table) bool { return key(t) == o.service })
	if o.action == addService {
		return append(tables, api.Table{VIP: o.service.Addr(), Port: o.service.Port(), Scheduler: o.scheduler, Flags: o.flags})
	}
	if at < 0 {
		return tables
	}
	t := &tables[at]
	same := func(d api.TableDestination) bool { return address(d) == address(o.destination) }
	switch o.action {
	case editService:
		t.Scheduler, t.Flags = o.scheduler, o.flags
	case deleteService:
		return slices.Delete(tables, at, at+1)
	case addDestination:
		d := o.destination
		d.Nominal = d.Weight
		t.Destinations = append(t.Destinations, d)
	case editDestination:
		if i := slices.IndexFunc(t.Destinations, same); i >= 0 {
			d := &t.Destinations[i]
			d.Forwarding, d.Weight = o.destination.Forwarding, o.destination.Weight
			if d.Weight != 0 {
				d.Nominal = d.Weight
			}
		}
	case deleteDestination:
		t.Destinations = slices.DeleteFunc(t.Destinations, same)
	}
	return tables
}
