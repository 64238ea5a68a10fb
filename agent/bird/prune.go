package bird

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// routeLine begins a route in the file; the prefix follows.
const routeLine = "  route "

// prune takes routes out of a file of ours and leaves the rest as it is. It
// tells whether there were any to take out.
func prune(text string, keep map[netip.Addr]uint32) (pruned Rendered, changed bool) {
	_, body, ok := strings.Cut(text, "define "+revisionSymbol+" = ")
	if !ok {
		return Rendered{}, false
	}
	_, body, _ = strings.Cut(body, ";\n")
	var b strings.Builder
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, routeLine); ok {
			text, _, _ := strings.Cut(rest, " ")
			prefix, err := netip.ParsePrefix(text)
			if _, wanted := keep[prefix.Addr()]; err == nil && !wanted {
				changed = true
				continue
			}
		}
		b.WriteString(line)
	}
	return stamp(b.String()), changed
}

// stamp puts the head on the body of a file.
func stamp(body string) Rendered {
	r := Rendered{Revision: revision(body)}
	r.Text = fmt.Appendf(nil, "# Written by peerage-agent; changes are overwritten.\n"+
		"# BIRD runs this file when `birdc eval %[1]s` answers %[2]d.\ndefine %[1]s = %[2]d;\n%[3]s",
		revisionSymbol, r.Revision, body)
	return r
}

// withdrawOnly is for a configuration that cannot be had as a whole: a key is
// missing, or BIRD refuses what is new in it. What must not be announced any
// more is withdrawn all the same, from the configuration that BIRD runs. A part
// of what BIRD has taken before needs no check.
func (s *Speaker) withdrawOnly(ctx context.Context, want Config) error {
	if Included(s.o.MainConfig, s.o.Include) != nil {
		return nil // to configure would take away the sessions, with what is to stay
	}
	old, err := os.ReadFile(s.o.Include)
	if err != nil {
		return fmt.Errorf("bird include: %w", err)
	}
	r, changed := prune(string(old), want.Routes)
	if !changed {
		return nil
	}
	if err := replace(s.o.Include, r.Text, s.o.Group); err != nil {
		return fmt.Errorf("bird include: %w", err)
	}
	s.o.Logger.Warn("VIPs are withdrawn from the configuration of before: the new one cannot be had", "routes", len(want.Routes))
	return s.configure(ctx, r)
}
