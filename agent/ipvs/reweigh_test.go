package ipvs

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
)

// blind is a kernel that cannot be read.
type blind struct{ *Fake }

func (blind) Services(context.Context, func(Key) bool) ([]Service, error) {
	return nil, errors.New("the kernel was read")
}

// Reweigh writes weights and nothing else, and reads nothing.
func TestReweigh(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*api.Table)
		want   []string
		done   bool
	}{
		{"one server out", func(t *api.Table) { t.Destinations[1].Weight = 0 }, []string{"-e -t 192.0.2.1:179 -r 10.0.0.1:179 -g -w 0"}, true},
		{"one in, one out: first in", func(t *api.Table) { t.Destinations[0].Weight, t.Destinations[2].Weight = 0, 1 },
			[]string{"-e -t 192.0.2.1:179 -r 10.0.0.2:179 -g -w 1", "-e -t 192.0.2.1:179 -r 10.0.0.0:179 -g -w 0"}, true},
		{"nothing", func(*api.Table) {}, nil, true},
		{"another nominal weight has to be recorded first", func(t *api.Table) { t.Destinations[1].Weight, t.Destinations[1].Nominal = 2, 2 }, nil, false},
		{"a newcomer", func(t *api.Table) {
			d := t.Destinations[0]
			d.Addr = netip.MustParseAddr("10.9.9.9")
			t.Destinations = append(t.Destinations, d)
		}, nil, false},
		{"one is gone", func(t *api.Table) { t.Destinations = t.Destinations[1:] }, nil, false},
		{"another order", func(t *api.Table) { slices.Reverse(t.Destinations) }, nil, false},
		{"another scheduler", func(t *api.Table) { t.Scheduler, t.Flags = api.SchedulerWLC, nil }, nil, false},
		{"a service that is not ours", func(t *api.Table) { t.Port = 180 }, nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, record := NewFake(), recordFile(t)
			before := bigTables(1, 3)
			before[0].Destinations[2].Weight = 0
			if _, err := openTable(t, f, record).Set(t.Context(), before); err != nil {
				t.Fatal(err)
			}
			was, history := f.String(), len(f.History())
			after := bigTables(1, 3)
			after[0].Destinations[2].Weight = 0
			tc.change(&after[0])
			table := openTable(t, blind{f}, record)
			ops, done, err := table.Reweigh(t.Context(), before, after)
			if err != nil || done != tc.done || !slices.Equal(ops, tc.want) {
				t.Errorf("%q, done %t, %v; want %q, done %t", ops, done, err, tc.want, tc.done)
			}
			if !done && (f.String() != was || len(f.History()) != history) {
				t.Errorf("the kernel was changed (-before +after):\n%s", cmp.Diff(was, f.String()))
			}
			if !done {
				return
			}
			got, err := openTable(t, f, record).Dump(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(after, got, sameTable); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
