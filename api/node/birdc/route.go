package birdc

import (
	"net/netip"
	"strings"
)

// The codes of the lines of "show route all".
const (
	codeRoute     = 1007
	codeRouteType = 1008
	codeAttribute = 1012
)

// routes gathers the lines of "show route all".
type routes struct {
	table string
	found []Route
}

// line takes one line of the answer.
func (r *routes) line(l Line) error {
	switch l.Code {
	case codeRoute:
		r.route(l.Text)
	case codeRouteType, codeAttribute:
		name, value, ok := strings.Cut(strings.TrimSpace(l.Text), ":")
		if ok && len(r.found) > 0 && name != "Type" {
			r.found[len(r.found)-1].attribute(name, strings.TrimSpace(value))
		}
	}
	return nil
}

func (r *Route) attribute(name, value string) {
	if r.Attributes == nil {
		r.Attributes = map[string]string{}
	}
	r.Attributes[name] = value
}

// route reads "Table NAME:", "PREFIX TYPE [PROTOCOL SINCE from X] * (100)" or
// the same without a prefix for a further route of it, or a next hop.
func (r *routes) route(text string) {
	if name, ok := strings.CutPrefix(text, "Table "); ok {
		r.table = strings.TrimSuffix(strings.TrimSpace(name), ":")
		return
	}
	head, rest, ok := strings.Cut(text, "[")
	if !ok || strings.HasPrefix(text, "\t") {
		return
	}
	source, tail, ok := strings.Cut(rest, "]")
	if !ok {
		return
	}
	route := Route{Table: r.table}
	fields := strings.Fields(head)
	switch {
	case len(fields) == 2:
		prefix, err := netip.ParsePrefix(fields[0])
		if err != nil {
			return // of a table that does not hold addresses
		}
		route.Prefix, route.Type = prefix, fields[1]
	case len(fields) == 1 && len(r.found) > 0 && strings.HasPrefix(text, " "):
		route.Prefix, route.Type = r.found[len(r.found)-1].Prefix, fields[0]
	default:
		return
	}
	route.Protocol, source = word(source)
	route.Since, _, _ = strings.Cut(source, " from ")
	route.Since = strings.TrimSpace(route.Since)
	route.Primary = strings.HasPrefix(strings.TrimSpace(tail), "*")
	r.found = append(r.found, route)
}
