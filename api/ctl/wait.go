package ctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
)

func (a *app) waitCommand() *cobra.Command {
	var condition string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait NAME --for=serving|depooled|agree|announced|plan=N",
		Short: "Wait until something is so; exit 7 when the time is over",
		Long: `Wait until something is so in the kernels, not only in the plan:

  serving    the real server serves in all its pools, and all LBs run that
  depooled   the real server is out of all its pools, and all LBs run that
  agree      all live LBs of the pool (or the LB NAME in all pools) run the plan
  announced  all VIPs of the pool (or of the LB NAME) are announced as planned
  plan=N     the pool is at generation N or later, and all live LBs run it

It prints nothing but, after two seconds, what it waits for.`,
		Example: "  peeragectl depool rs-2 --reason upgrade && peeragectl wait rs-2 --for=depooled --timeout 30s\n  peeragectl wait customers --for=agree",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var all []string
			for _, kind := range []api.Kind{api.KindRealServer, api.KindPool, api.KindLoadBalancer} {
				all = append(all, a.names(cmd, kind)...)
			}
			return all, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: a.run(func(ctx context.Context, args []string) error {
			check, err := parseCondition(condition)
			if err != nil {
				return err
			}
			return a.wait(ctx, args[0], condition, timeout, check)
		}),
	}
	cmd.Flags().StringVar(&condition, "for", "", "the `condition`")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "give up after this `time`; 0 waits for ever")
	if err := errors.Join(cmd.MarkFlagRequired("for"), cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(
		[]cobra.Completion{"serving", "depooled", "agree", "announced", "plan="}, cobra.ShellCompDirectiveNoFileComp))); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// condition tells what is missing yet; nothing when it holds. The error is
// for a name that does not exist.
type condition func(st *api.Status, name string) (missing string, err error)

func parseCondition(text string) (condition, error) {
	switch text {
	case "serving":
		return serverIs(api.ServerServing), nil
	case "depooled":
		return serverIs(api.ServerDepooled), nil
	case "agree":
		return agree(0), nil
	case "announced":
		return announced, nil
	}
	if n, found := strings.CutPrefix(text, "plan="); found {
		generation, err := strconv.ParseInt(n, 10, 64)
		if err != nil || generation < 1 {
			return nil, usage("--for=%s: %q is not a generation; status shows them", text, n)
		}
		return agree(generation), nil
	}
	return nil, usage("--for=%s is not known; write serving, depooled, agree, announced or plan=N", text)
}

func (a *app) wait(parent context.Context, name, text string, timeout time.Duration, check condition) error {
	c, err := a.api()
	if err != nil {
		return err
	}
	ctx := parent
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(parent, timeout)
		defer cancel()
	}
	progress := &progress{app: a, began: time.Now(), tty: terminal(a.env.Stderr)}
	defer progress.stop()
	missing := "an answer"
	for st, err := range c.WatchStatus(ctx) {
		if err != nil {
			if ctx.Err() != nil && parent.Err() == nil {
				return api.WithExit(api.ExitTimeout, fmt.Errorf("%s: not %s within %s: %s", name, text, timeout, missing))
			}
			return err
		}
		missing, err = check(st, name)
		if err != nil {
			return err
		}
		if st.Store.Stale != "" && missing == "" {
			missing = "the store does not answer, so what is known may be old"
		}
		if missing == "" {
			progress.stop()
			return a.waited(name, text, st, progress.began)
		}
		progress.say(missing)
	}
	return nil
}

func (a *app) waited(name, text string, st *api.Status, began time.Time) error {
	if !a.printer.machine() {
		return nil
	}
	return a.printer.value(map[string]any{"name": name, "for": text, "at": st.At, "took": api.Duration(time.Since(began).Round(time.Millisecond))})
}

// progress tells what a wait is waiting for, once people begin to wonder.
type progress struct {
	app   *app
	began time.Time
	tty   bool
	timer *time.Timer
	last  chan string // holds the newest text, until it is told
	done  chan struct{}
	ended chan struct{}
}

// say notes what is missing; it is shown once patience is over.
func (p *progress) say(missing string) {
	if p.last == nil {
		p.last, p.done, p.ended = make(chan string, 1), make(chan struct{}), make(chan struct{})
		p.timer = time.NewTimer(p.app.env.Patience - time.Since(p.began))
		go p.run()
	}
	select {
	case <-p.last:
	default:
	}
	p.last <- missing
}

func (p *progress) run() {
	defer close(p.ended)
	select {
	case <-p.done:
		return
	case <-p.timer.C:
	}
	shown := ""
	for {
		select {
		case <-p.done:
			if p.tty && shown != "" {
				fmt.Fprint(p.app.env.Stderr, "\r\x1b[K")
			}
			return
		case text := <-p.last:
			if text == shown {
				continue
			}
			shown = text
			if p.tty {
				fmt.Fprintf(p.app.env.Stderr, "\r\x1b[Kwaiting: %s", text)
			} else {
				fmt.Fprintf(p.app.env.Stderr, "waiting: %s\n", text)
			}
		}
	}
}

// stop ends the output; it may be called twice.
func (p *progress) stop() {
	if p.last == nil {
		return
	}
	p.timer.Stop()
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	<-p.ended
}

// unknown is the error of a name that no object has.
func unknown(what, name string) error {
	return api.WithExit(api.ExitNotFound, fmt.Errorf("%s %q does not exist; peeragectl status shows what does", what, name))
}

// serverIs holds when a server has a state in all its pools, in the kernels.
func serverIs(state api.ServerState) condition {
	return func(st *api.Status, name string) (string, error) {
		i := slices.IndexFunc(st.RealServers, func(r api.RealServerStatus) bool { return r.Name == name })
		if i < 0 {
			return "", unknown("real server", name)
		}
		if len(st.RealServers[i].Pools) == 0 {
			return "it is in no pool", nil
		}
		for _, p := range st.Pools {
			for _, m := range p.Servers {
				if m.Server != name {
					continue
				}
				if m.State != state {
					return fmt.Sprintf("pool %s: it is %s%s", p.Name, orNone(string(m.State)), suffix(m.Reason)), nil
				}
				if missing := runs(&p); missing != "" {
					return missing, nil
				}
			}
		}
		return "", nil
	}
}

func orNone(s string) string {
	if s == "" {
		return "not in the plan"
	}
	return s
}

// runs tells which LBs do not run the plan of a pool.
func runs(p *api.PoolStatus) string {
	if p.Agree {
		return ""
	}
	var not []string
	for _, lb := range p.LBs {
		if lb.Live && !lb.Agrees {
			not = append(not, fmt.Sprintf("%s at generation %d%s", lb.LB, lb.Generation, suffix(lb.Error)))
		}
	}
	if len(not) == 0 {
		return fmt.Sprintf("pool %s: no load balancer is alive", p.Name)
	}
	return fmt.Sprintf("pool %s: the plan is at generation %d, %s", p.Name, p.Generation, strings.Join(not, ", "))
}

// agree holds when all live LBs of a pool run its plan, of at least the
// generation; for the name of an LB, when it runs all its plans.
func agree(generation int64) condition {
	return func(st *api.Status, name string) (string, error) {
		if i := slices.IndexFunc(st.Pools, func(p api.PoolStatus) bool { return p.Name == name }); i >= 0 {
			p := &st.Pools[i]
			if p.Generation < generation {
				return fmt.Sprintf("pool %s: the plan is at generation %d", name, p.Generation), nil
			}
			if p.Generation == 0 {
				return fmt.Sprintf("pool %s: there is no plan yet", name), nil
			}
			return runs(p), nil
		}
		if generation > 0 || !isLB(st, name) {
			return "", unknown("pool", name)
		}
		for _, p := range st.Pools {
			for _, lb := range p.LBs {
				if lb.LB == name && (!lb.Live || !lb.Agrees) {
					return fmt.Sprintf("pool %s: %s runs generation %d of %d%s", p.Name, name, lb.Generation, p.Generation, suffix(lb.Error)), nil
				}
			}
		}
		return "", nil
	}
}

func isLB(st *api.Status, name string) bool {
	return slices.ContainsFunc(st.LoadBalancers, func(l api.LBStatus) bool { return l.Name == name })
}

// announced holds when every VIP of a pool, or of an LB, is announced where
// the plan wants it.
func announced(st *api.Status, name string) (string, error) {
	lb := isLB(st, name)
	if !lb && !slices.ContainsFunc(st.Pools, func(p api.PoolStatus) bool { return p.Name == name }) {
		return "", unknown("pool or load balancer", name)
	}
	wanted := 0
	for _, p := range st.Pools {
		if !lb && p.Name != name {
			continue
		}
		for _, v := range p.VIPs {
			for _, l := range v.LBs {
				if lb && l.LB != name || !l.Wanted {
					continue
				}
				wanted++
				if !l.Announced {
					return fmt.Sprintf("VIP %s is not announced by %s%s", v.VIP, l.LB, suffix(l.Reason)), nil
				}
			}
		}
	}
	if wanted == 0 {
		return "no VIP is planned to be announced there", nil
	}
	return "", nil
}
