package swarm

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/peerage/peerage/realserver/bgp"
)

// ParseAnnouncement reads nothing, default, k=N, full=N or mrt=FILE and
// prepares the routes. They are nil for nothing. The synthetic table has routes
// of the families alone.
func ParseAnnouncement(text string, seed uint64, families ...bgp.Family) (*Table, error) {
	kind, value, _ := strings.Cut(text, "=")
	wrong := fmt.Errorf("announce %q: use nothing, default, k=N, full=N or mrt=FILE", text)
	switch kind {
	case "nothing", "default":
		if value != "" || strings.Contains(text, "=") {
			return nil, wrong
		}
		if kind == "default" {
			return NewDefaultTable(), nil
		}
		return nil, nil
	case "mrt":
		if value == "" {
			return nil, wrong
		}
		return NewMRTTable(value)
	case "k", "full":
		n, err := strconv.Atoi(value)
		limit := map[string]int{"k": MaxOwnPrefixes, "full": MaxSynthetic}[kind]
		if err != nil || n < 1 || n > limit {
			return nil, fmt.Errorf("announce %q: write %s=N with N from 1 to %d", text, kind, limit)
		}
		if kind == "k" {
			return NewOwnTable(n), nil
		}
		return NewSyntheticTable(n, seed, families...)
	}
	return nil, wrong
}
