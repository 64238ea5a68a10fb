package controller

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"github.com/peerage/peerage/api"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMetrics(t *testing.T) {
	p := &api.Plan{Pool: "edge", Generation: 12, Destinations: []api.Destination{
		{Server: "rs-1", State: api.ServerServing}, {Server: "rs-2", State: api.ServerServing}, {Server: "rs-3", State: api.ServerDepooled},
	}, Announcements: []api.Announcement{{LB: "lb-1"}, {LB: "lb-2"}, {LB: "lb-3"}}, Held: &api.Held{Guard: "over-max-shrink"}}
	st := &api.State{
		Plans:   map[string]*api.Plan{"edge": p},
		LiveLBs: map[string]*api.Live{"lb-1": {}, "lb-2": {}},
		Applied: map[string]map[string]*api.Applied{"edge": {"lb-1": {Generation: 12, Fingerprint: api.Fingerprint(p.Tables())}}},
	}
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg, func() *api.State { return st })
	m.enter(stateLeading)
	m.compute.Observe(0.0003)
	m.writes.Inc()

	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	var got strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&got, f); err != nil {
			t.Fatal(err)
		}
	}
	const golden = "testdata/metrics.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("metrics (-want +got), rewrite with -update:\n%s", diff)
	}
}
