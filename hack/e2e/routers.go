//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/hack/lab"
	"github.com/peerage/peerage/hack/lab/router"
	"github.com/peerage/peerage/realserver/speaker/control"
)

// parallel bounds how many routers are asked at once.
const parallel = 4

// routers lists the customers that a word stands for, or several joined by
// commas: one by its name, those with a make of router, or all.
func (r *Story) routers(which string) ([]lab.Node, error) {
	chosen := make(map[string]lab.Node)
	for word := range strings.SplitSeq(which, ",") {
		before := len(chosen)
		for _, n := range r.Lab.Topology.CustomerNodes() {
			if word == "all" || word == n.Name || router.Make(word) == n.Router {
				chosen[n.Name] = n
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("%q names no customer, and no make of router that one more has", word)
		}
	}
	return slices.SortedFunc(maps.Values(chosen), func(a, b lab.Node) int { return strings.Compare(a.Name, b.Name) }), nil
}

// each does something with each of the customers that a word stands for.
func (r *Story) each(ctx context.Context, which string, do func(ctx context.Context, n lab.Node) error) error {
	nodes, err := r.routers(which)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(parallel)
	errs := make([]error, len(nodes))
	for i, n := range nodes {
		g.Go(func() error {
			if err := do(ctx, n); err != nil {
				errs[i] = fmt.Errorf("%s (%s): %w", n.Name, n.Router, err)
			}
			return nil
		})
	}
	_ = g.Wait() // each has its own error
	return errors.Join(errs...)
}

// tell tells routers something in the words of their own control programs; VIP
// stands for the address of the session's far end.
func (r *Story) tell(ctx context.Context, _ Step, args []string) error {
	return r.each(ctx, args[0], func(ctx context.Context, n lab.Node) error {
		words := slices.Clone(args[1:])
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "VIP", n.VIP.String())
		}
		_, err := r.Lab.Tell(ctx, n.Name, words...)
		return err
	})
}

// cease has the speakers end sessions, and tell the routers why.
func (r *Story) cease(ctx context.Context, _ Step, args []string) error {
	m, err := r.Holders()
	if err != nil {
		return err
	}
	return r.each(ctx, args[0], func(ctx context.Context, n lab.Node) error {
		server, err := r.Lab.Topology.Node(m[n.Name])
		if err != nil {
			return err
		}
		speaker := control.NewClient(server.File("speaker.sock"))
		defer speaker.Close()
		id := strings.Join([]string{r.Lab.Topology.Pool.Name, n.VIP.String(), n.Data[0].Addr().String()}, ",")
		return speaker.Reset(ctx, id, args[1])
	})
}

// logs remembers where the logs of all routers end.
func (r *Story) logs() map[string]int64 {
	ends := make(map[string]int64)
	for _, n := range r.Lab.Topology.CustomerNodes() {
		if info, err := os.Stat(r.Lab.RouterLog(n)); err == nil {
			ends[n.Name] = info.Size()
		}
	}
	return ends
}

// logged: since the mark the routers logged something, and the first matches of
// several come in this order.
func (r *Story) logged(ctx context.Context, args []string) error {
	return r.each(ctx, args[0], func(_ context.Context, n lab.Node) error {
		text, err := os.ReadFile(r.Lab.RouterLog(n))
		if err != nil {
			return err
		}
		return inOrder(text[min(int64(len(text)), r.logEnds[n.Name]):], args[1:])
	})
}

func inOrder(text []byte, expressions []string) error {
	last, before := -1, ""
	for _, expression := range expressions {
		re, err := regexp.Compile(expression)
		if err != nil {
			return err
		}
		at := re.FindIndex(text)
		switch {
		case at == nil:
			return fmt.Errorf("the log has no %q since the mark", expression)
		case at[0] < last:
			return fmt.Errorf("the log has %q before %q", expression, before)
		}
		last, before = at[0], expression
	}
	return nil
}

// fleetSessions are the sessions as peeragectl tells of them, by the router's
// address. Of one that moved it is the one that began last.
func (r *Story) fleetSessions(ctx context.Context) (map[netip.Addr]api.Session, error) {
	var list api.SessionList
	if err := r.ctlJSON(ctx, &list, "session", "list", "-o", "json"); err != nil {
		return nil, err
	}
	sessions := make(map[netip.Addr]api.Session)
	for _, s := range list.Items {
		if old, ok := sessions[s.Peer.Addr()]; !ok || s.Since.After(old.Since) {
			sessions[s.Peer.Addr()] = s
		}
	}
	return sessions, nil
}

func (s *Site) ctlJSON(ctx context.Context, into any, args ...string) error {
	out, err := s.Lab.Ctl(ctx, args...)
	if err != nil {
		return fmt.Errorf("peeragectl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("peeragectl %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// agreed: the routers say, and so does peeragectl, that both ends offered
// exactly these capabilities; sessions are signed that should be.
func (r *Story) agreed(ctx context.Context, args []string) error {
	sessions, err := r.fleetSessions(ctx)
	if err != nil {
		return err
	}
	want := slices.Sorted(slices.Values(args[1:]))
	return r.each(ctx, args[0], func(ctx context.Context, n lab.Node) error {
		s := sessions[n.Data[0].Addr()]
		if s.State != "established" || s.MD5 != n.MD5 || s.AS != n.AS {
			return fmt.Errorf("the session is %s, of AS %d and signed: %t; want established, of AS %d and signed: %t", s.State, s.AS, s.MD5, n.AS, n.MD5)
		}
		if diff := cmp.Diff(want, slices.Sorted(slices.Values(s.Capabilities))); diff != "" {
			return fmt.Errorf("by the word of %s (-want +got):\n%s", s.Server, diff)
		}
		got, err := r.Lab.Capabilities(ctx, n.Name)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("by the word of the router (-want +got):\n%s", diff)
		}
		return nil
	})
}

// ended: peeragectl tells that the last session of each ended for a reason.
func (r *Story) ended(ctx context.Context, args []string) error {
	re, err := regexp.Compile(args[1])
	if err != nil {
		return err
	}
	sessions, err := r.fleetSessions(ctx)
	if err != nil {
		return err
	}
	return r.each(ctx, args[0], func(_ context.Context, n lab.Node) error {
		if s := sessions[n.Data[0].Addr()]; !re.MatchString(s.LastError) {
			return fmt.Errorf("the session ended with %q", s.LastError)
		}
		return nil
	})
}

// learned: the routers have exactly these prefixes from their sessions.
func (r *Story) learned(ctx context.Context, args []string) error {
	want, err := prefixes(args[1:])
	if err != nil {
		return err
	}
	return r.each(ctx, args[0], func(ctx context.Context, n lab.Node) error {
		got, err := r.Lab.Learned(ctx, n.Name)
		if err != nil {
			return err
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("it has the routes %v, want %v", got, want)
		}
		return nil
	})
}

// prefixes reads a list; the word nothing stands for none.
func prefixes(words []string) ([]netip.Prefix, error) {
	if len(words) == 1 && words[0] == "nothing" {
		return nil, nil
	}
	var all []netip.Prefix
	for _, w := range words {
		p, err := netip.ParsePrefix(w)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return all, nil
}

// routes: `peeragectl session routes` has exactly these prefixes of the
// routers, or what they announce by their configuration: with every community.
func (r *Story) routes(ctx context.Context, args []string) error {
	var want []netip.Prefix
	if args[1] != "own" || len(args) > 2 {
		var err error
		if want, err = prefixes(args[1:]); err != nil {
			return err
		}
	}
	return r.each(ctx, args[0], func(ctx context.Context, n lab.Node) error {
		out, err := r.Lab.Ctl(ctx, "session", "routes", n.Data[0].Addr().String())
		if err != nil {
			return fmt.Errorf("peeragectl session routes: %w: %s", err, out)
		}
		routes, err := decodeRoutes(out)
		if err != nil {
			return err
		}
		if args[1] == "own" {
			return compareOwn(n, routes)
		}
		var got []netip.Prefix
		for _, one := range routes {
			got = append(got, one.Prefix)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("the controllers know the routes %v, want %v", got, want)
		}
		return nil
	})
}

// decodeRoutes reads routes, one a line, and sorts them.
func decodeRoutes(out []byte) ([]api.Route, error) {
	var all []api.Route
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var one api.Route
		if err := d.Decode(&one); err != nil {
			return nil, fmt.Errorf("peeragectl session routes: %w", err)
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b api.Route) int { return a.Prefix.Compare(b.Prefix) })
	return all, nil
}

// compareOwn compares routes with what a customer's router announces.
func compareOwn(n lab.Node, routes []api.Route) error {
	type route struct {
		Prefix      netip.Prefix
		ASPath      string
		Origin      string
		Communities []string
	}
	var want, got []route
	for _, a := range lab.Announcements(n) {
		want = append(want, route{a.Prefix, fmt.Sprint(n.AS), "igp", slices.Sorted(slices.Values(a.LargeCommunities))})
	}
	slices.SortFunc(want, func(a, b route) int { return a.Prefix.Compare(b.Prefix) })
	for _, one := range routes {
		got = append(got, route{one.Prefix, one.ASPath, one.Origin, slices.Sorted(slices.Values(one.LargeCommunities))})
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		return fmt.Errorf("the controllers know other routes than are announced (-announced +known):\n%s", diff)
	}
	return nil
}
