package store

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/peerage/peerage/api"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	metrics := NewMetrics(registry)
	_, past := site(t)
	s := open(t, past.cfg.Endpoints, func(c *Config) { c.Metrics = metrics })
	m := run(t, s.Mirror(MirrorOptions{}))
	m.awaitCurrent()
	last := put(t, s, planKeys+"edge", "{")
	st := m.await("the bad plan", func(st *api.State) bool { return st.Revision >= last })
	if measure(t, metrics.bad) != 1 || measure(t, metrics.revision) < float64(st.Revision) || measure(t, metrics.held) != 0 {
		t.Error("metrics do not tell the state")
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "peerage_store_") || f.GetHelp() == "" {
			t.Errorf("metric %s: %q", f.GetName(), f.GetHelp())
		}
	}
}
