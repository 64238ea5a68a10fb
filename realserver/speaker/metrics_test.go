package speaker

import (
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"github.com/peerage/peerage/realserver/bgp"
)

// TestMetrics compares all of /metrics, and lets the linter see it.
func TestMetrics(t *testing.T) {
	t.Parallel()
	b := newBenchWith(t, Options{Shards: 1, Workers: 1}, acme("acme", "127.0.1.0/24"), acme("other", "127.0.2.0/24"))
	b.put(true)
	registry := prometheus.NewRegistry()
	registry.MustRegister(b.Speaker)
	up := b.router("127.0.1.5", 65001).must(t)
	b.established(1)
	up.send(announce(65001, "10.9.9.9", "10.1.0.0/16", "10.2.0.0/16"))
	b.router("127.0.1.6", localAS).refused(t, bgp.CodeOpen, bgp.SubBadPeerAS)
	b.router("127.0.9.9", 65001).refused(t, bgp.CodeCease, bgp.SubConnectionRejected)
	down := b.router("127.0.2.5", 65002).must(t)
	down.send(bgp.Shutdown(bgp.SubAdministrativeShutdown, "").Append(nil))
	text := func() string {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		problems, err := promlint.NewWithMetricFamilies(families).Lint()
		if err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
		var out strings.Builder
		for _, f := range families {
			if _, err := expfmt.MetricFamilyToText(&out, f); err != nil {
				t.Fatal(err)
			}
		}
		return out.String()
	}
	b.eventually("all counted", func() bool {
		return contains(text(), `sessions_ended_total{cause="notification_received",customer="other"} 1`, `connections 1`, `sessions{customer="acme",state="other"} 0`,
			`updates_received_total{customer="acme"} 1`)
	})
	// How much memory there is depends on the machine.
	golden(t, "metrics.txt", regexp.MustCompile(`(?m)^(\S+bytes\S*) \d.*$`).ReplaceAllString(text(), "$1 N"))
}
