package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/server"
	"github.com/peerage/peerage/api/server/servertest"
)

// TestPlanTooLarge: what the leader could not write is refused when it is
// applied, also when each object by itself is small enough.
func TestPlanTooLarge(t *testing.T) {
	s := servertest.New(t, func(c *server.Config) { c.MaxBody = 4 << 20 })
	c := newCaller(t, s)
	pool := func(neighbors int) string {
		var b strings.Builder
		for i := range neighbors {
			fmt.Fprintf(&b, "{name: a-customer-with-a-long-name-%05d,prefix: 10.%d.%d.%d/32,as: 64512},", i, i>>16, i>>8&255, i&255)
		}
		return strings.Replace(site, "{name: customers, prefix: 192.0.2.0/24}", b.String(), 1)
	}
	e := c.refused("POST", "/v1/apply", pool(13_000), 413, api.ErrorTooLarge,
		"Pool/edge with 13000 neighbors and 2 real servers is too large for the store: its plan takes", "can have 1023 KiB")
	if !strings.Contains(e.Hint, "make two pools of it") {
		t.Errorf("the way out is %q", e.Hint)
	}
	if out := do[api.ApplyResult](c, "POST", "/v1/apply", pool(11_000)); !out.Changed {
		t.Errorf("what fits is not taken: %+v", out)
	}
}
