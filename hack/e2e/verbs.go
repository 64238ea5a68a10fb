//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/hack/lab"
)

// verb is one kind of step: something to do, or something to expect.
type verb struct {
	usage string
	// least and most bound the number of arguments; most < 0: any number.
	least, most int
	// file is the argument that names a file of the scenario; nil: none does.
	file   func(args []string) string
	do     func(ctx context.Context, step Step, args []string) error
	expect func(ctx context.Context, args []string) error
}

// verbs are all steps of a run, by their first word. A nil run is good for
// everything but calling them.
func verbs(r *Story) map[string]verb {
	on := func(usage string, do func(ctx context.Context, name string) error) verb {
		return verb{usage: usage, least: 1, most: -1, do: func(ctx context.Context, _ Step, args []string) error {
			for _, name := range args {
				if err := do(ctx, name); err != nil {
					return err
				}
			}
			return nil
		}}
	}
	sig := func(s unix.Signal) verb {
		return on("NODE/PROGRAM...", func(ctx context.Context, name string) error { return r.Lab.Signal(ctx, name, s) })
	}
	expect := func(usage string, least, most int, f func(ctx context.Context, args []string) error) verb {
		return verb{usage: usage, least: least, most: most, expect: f}
	}
	return map[string]verb{
		"ctl":    {usage: "ARGUMENT|@FILE...", least: 1, most: -1, file: ctlFile, do: r.ctl},
		"kill":   on("NODE...", func(ctx context.Context, name string) error { return r.Lab.Kill(ctx, name) }),
		"boot":   on("NODE...", func(ctx context.Context, name string) error { return r.Lab.Boot(ctx, name) }),
		"cut":    on("NODE...", func(_ context.Context, name string) error { return r.Lab.Cut(name, true) }),
		"plug":   on("NODE...", func(_ context.Context, name string) error { return r.Lab.Cut(name, false) }),
		"start":  on("NODE/PROGRAM...", func(ctx context.Context, name string) error { return r.Lab.Start(ctx, name) }),
		"stop":   sig(unix.SIGTERM),
		"crash":  sig(unix.SIGKILL),
		"freeze": sig(unix.SIGSTOP),
		"thaw":   sig(unix.SIGCONT),
		"reset":  {usage: "CUSTOMER...|all|moved:NAME|on:SERVER@NAME", least: 1, most: -1, do: r.resetStep},
		"etcd":   {usage: "put KEY FILE | del KEY", least: 2, most: 3, file: etcdFile, do: r.etcd},
		"restart": on("NODE/PROGRAM...", func(ctx context.Context, name string) error {
			return errors.Join(r.Lab.Signal(ctx, name, unix.SIGTERM), r.Lab.Start(ctx, name))
		}),
		"md5": {usage: "CUSTOMER KEY|right", least: 2, most: 2, do: func(ctx context.Context, _ Step, args []string) error {
			return r.Lab.Rekey(ctx, args[0], strings.TrimPrefix(args[1], "right"))
		}},
		"router": {usage: "WHICH WORD...", least: 2, most: -1, do: r.tell},
		"cease":  {usage: "WHICH TEXT", least: 2, most: 2, do: r.cease},
		"mark":   {do: r.markNow},
		"save":   {usage: "mapping|tables NAME", least: 2, most: 2, do: r.save},
		"let":    {usage: "NAME leader|generation|follower|list N FORMAT", least: 2, most: 4, do: r.let},

		"established": expect("N|all", 1, 1, r.established),
		"flapped":     expect("N | on:SERVER@NAME", 1, 1, r.flapped),
		"heard":       expect("all", 1, 1, r.heard),
		"holds":       expect("SERVER N|same:NAME", 2, 2, r.holds),
		"mapping":     expect("plan | NAME [except SERVER...]", 1, -1, r.mapping),
		"tables":      {usage: "equal | same NAME | golden FILE", least: 1, most: 2, file: goldenFile, expect: r.tablesAre},
		"weight":      expect("SERVER N", 2, 2, r.weight),
		"nexthops":    expect("[LB...]", 0, -1, r.nexthops),
		"agree":       expect("", 0, 0, r.agree),
		"says":        expect("REGEXP PEERAGECTL-ARGUMENT...", 2, -1, r.says),
		"printed":     expect("REGEXP", 1, 1, r.printedIs),
		"agreed":      expect("WHICH CAPABILITY...", 2, -1, r.agreed),
		"learned":     expect("WHICH PREFIX...|nothing", 2, -1, r.learned),
		"routes":      expect("WHICH PREFIX...|nothing|own", 2, -1, r.routes),
		"logged":      expect("WHICH REGEXP...", 2, -1, r.logged),
		"ended":       expect("WHICH REGEXP", 2, 2, r.ended),
		"leader":      expect("NAME | not NAME", 1, 2, r.leader),
	}
}

// etcdFile is the file of `etcd put KEY FILE`.
func etcdFile(args []string) string {
	if len(args) == 3 {
		return args[2]
	}
	return ""
}

// ctlFile is the file of `ctl … @FILE`.
func ctlFile(args []string) string {
	for _, a := range args {
		if name, ok := strings.CutPrefix(a, "@"); ok {
			return name
		}
	}
	return ""
}

// goldenFile is the file of `tables golden FILE`.
func goldenFile(args []string) string {
	if args[0] == "golden" && len(args) == 2 {
		return args[1]
	}
	return ""
}

// ctlTimeout bounds a run of peeragectl, which has limits of its own.
const ctlTimeout = time.Minute

func (r *Story) ctl(ctx context.Context, step Step, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, ctlTimeout)
	defer cancel()
	if name := ctlFile(args); name != "" {
		file := filepath.Join(lab.Root, name)
		if err := os.WriteFile(file, []byte(r.scenario.Files[name]), 0o644); err != nil {
			return err
		}
		args[slices.Index(args, "@"+name)] = file // of a copy: they were expanded
	}
	out, err := r.Lab.Ctl(ctx, args...)
	r.printed = string(out)
	switch {
	case step.Fails && err == nil:
		return fmt.Errorf("it succeeded, and printed: %s", out)
	case !step.Fails && err != nil:
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// markNow begins a new period, here and in the swarm.
func (r *Story) markNow(ctx context.Context, _ Step, _ []string) error {
	if r.Lab.Topology.Swarm.Sessions > 0 {
		if _, err := r.Lab.Topology.SwarmClient().Mark(ctx); err != nil {
			return err
		}
	}
	r.mark, r.logEnds = time.Now(), r.logs()
	return nil
}

func (r *Story) resetStep(ctx context.Context, _ Step, args []string) error {
	var customers []string
	for _, which := range args {
		chosen, err := r.choose(which)
		if err != nil {
			return err
		}
		customers = append(customers, chosen...)
	}
	return r.reset(ctx, customers)
}

// reset makes customers connect anew, as after an outage of their own. To the
// swarm it is no flap: it was told to.
func (r *Story) reset(ctx context.Context, customers []string) error {
	var swarm []int
	for _, c := range customers {
		if i, ok := lab.SwarmIndex(c); ok {
			swarm = append(swarm, i)
			continue
		}
		if err := r.Lab.Reset(ctx, c); err != nil {
			return err
		}
	}
	return r.Lab.ResetSwarm(ctx, swarm)
}

// choose lists the customers that a word stands for.
func (r *Story) choose(which string) ([]string, error) {
	kind, rest, _ := strings.Cut(which, ":")
	switch kind {
	case "all":
		var all []string
		for _, s := range r.sessions.All() {
			all = append(all, s.Customer.Name)
		}
		return all, nil
	case "on":
		server, name, ok := strings.Cut(rest, "@")
		m, known := r.mappings[name]
		if !ok || !known {
			return nil, fmt.Errorf("%q: want on:SERVER@NAME with a saved mapping's NAME", which)
		}
		return m.On(server), nil
	case "moved":
		before, known := r.mappings[rest]
		if !known {
			return nil, fmt.Errorf("no mapping was saved as %q", rest)
		}
		now, err := r.Holders()
		if err != nil {
			return nil, err
		}
		var moved []string
		for c, server := range before {
			if now[c] != server {
				moved = append(moved, c)
			}
		}
		slices.Sort(moved)
		return moved, nil
	}
	return []string{which}, nil
}

func (r *Story) save(_ context.Context, _ Step, args []string) error {
	switch args[0] {
	case "mapping":
		m, err := r.Holders()
		if err != nil {
			return err
		}
		r.mappings[args[1]] = m
		r.trace("        mapping %s", m)
		return nil
	case "tables":
		tables, err := r.allTables()
		if err != nil {
			return err
		}
		r.tables[args[1]] = tables
		return nil
	}
	return fmt.Errorf("cannot save %q", args[0])
}

func (r *Story) let(ctx context.Context, _ Step, args []string) error {
	if args[1] == "list" {
		return r.letList(args[0], args[2:])
	}
	status, err := r.Status(ctx)
	if err != nil {
		return err
	}
	switch args[1] {
	case "leader":
		if status.Leader == "" {
			return errors.New("there is no leader")
		}
		r.vars[args[0]] = status.Leader
	case "follower":
		for _, n := range r.Lab.Topology.ControllerNodes() {
			if n.Name != status.Leader {
				r.vars[args[0]] = n.Name
			}
		}
	case "generation":
		for _, p := range status.Pools {
			r.vars[args[0]] = fmt.Sprint(p.Generation)
		}
	default:
		return fmt.Errorf("%q is not known", args[1])
	}
	return nil
}

// letList makes a list of numbers, 65001:1,65001:2 from 2 and 65001:%d.
func (r *Story) letList(name string, args []string) error {
	if len(args) != 2 {
		return errors.New("want: let NAME list N FORMAT")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var words []string
	for i := range n {
		words = append(words, strings.ReplaceAll(args[1], "%d", strconv.Itoa(i+1)))
	}
	r.vars[name] = strings.Join(words, ",")
	return nil
}

func (r *Story) says(ctx context.Context, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, ctlTimeout)
	defer cancel()
	out, err := r.Lab.Ctl(ctx, args[1:]...)
	r.printed = string(out)
	if mismatch := r.printedIs(ctx, args[:1]); mismatch != nil {
		return errors.Join(mismatch, err)
	}
	return nil
}

func (r *Story) printedIs(_ context.Context, args []string) error {
	re, err := regexp.Compile("(?s)" + args[0])
	if err != nil {
		return err
	}
	if !re.MatchString(r.printed) {
		return fmt.Errorf("printed %q, which does not match", r.printed)
	}
	return nil
}
