package netfilter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Fake models iptables of one family in memory, for tests. It prints itself as
// iptables-save does.
type Fake struct {
	mu     sync.Mutex // guards the fields below
	chains []fakeChain
	fail   func(verb string) error
	calls  int
}

type fakeChain struct {
	table, name string
	rules       []string
}

// NewFake returns a host with nothing but the built-in chains.
func NewFake() *Fake {
	f := &Fake{}
	for _, c := range [][2]string{{"filter", "INPUT"}, {"filter", "OUTPUT"}, {"raw", "PREROUTING"}} {
		f.chains = append(f.chains, fakeChain{table: c[0], name: c[1]})
	}
	return f
}

// SetFail installs a failpoint that is asked before every call.
func (f *Fake) SetFail(fail func(verb string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

// Calls counts the calls that change something.
func (f *Fake) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// String renders every table.
func (f *Fake) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for _, table := range []string{"filter", "raw"} {
		fmt.Fprintf(&b, "*%s\n", table)
		for _, c := range f.chains {
			if c.table != table {
				continue
			}
			fmt.Fprintf(&b, ":%s\n", c.name)
			for _, r := range c.rules {
				fmt.Fprintf(&b, "-A %s %s\n", c.name, r)
			}
		}
	}
	return b.String()
}

var errNoChain = errors.New("no such chain")

// with runs fn on a chain; verb names the call for failpoints.
func (f *Fake) with(verb, table, name string, change bool, fn func(c *fakeChain) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		if err := f.fail(verb); err != nil {
			return err
		}
	}
	if change {
		f.calls++
	}
	for i := range f.chains {
		if f.chains[i].table == table && f.chains[i].name == name {
			return fn(&f.chains[i])
		}
	}
	return errNoChain
}

// ChainExists implements Tables.
func (f *Fake) ChainExists(table, name string) (bool, error) {
	err := f.with("exists", table, name, false, func(*fakeChain) error { return nil })
	if errors.Is(err, errNoChain) {
		return false, nil
	}
	return err == nil, err
}

// NewChain implements Tables.
func (f *Fake) NewChain(table, name string) error {
	err := f.with("new", table, name, true, func(*fakeChain) error { return errors.New("chain already exists") })
	if errors.Is(err, errNoChain) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.chains = append(f.chains, fakeChain{table: table, name: name})
		return nil
	}
	return err
}

// ClearAndDeleteChain implements Tables.
func (f *Fake) ClearAndDeleteChain(table, name string) error {
	return f.with("remove", table, name, true, func(*fakeChain) error {
		for _, c := range f.chains {
			if slices.Contains(c.rules, "-j "+name) {
				return errors.New("chain is referred to")
			}
		}
		f.chains = slices.DeleteFunc(f.chains, func(c fakeChain) bool { return c.table == table && c.name == name })
		return nil
	})
}

// List implements Tables.
func (f *Fake) List(table, name string) (lines []string, err error) {
	err = f.with("list", table, name, false, func(c *fakeChain) error {
		lines = []string{"-N " + name}
		for _, r := range c.rules {
			lines = append(lines, "-A "+name+" "+r)
		}
		return nil
	})
	return lines, err
}

// Exists implements Tables.
func (f *Fake) Exists(table, name string, rule ...string) (there bool, err error) {
	err = f.with("check", table, name, false, func(c *fakeChain) error {
		there = slices.Contains(c.rules, strings.Join(rule, " "))
		return nil
	})
	return there, err
}

// Insert implements Tables.
func (f *Fake) Insert(table, name string, at int, rule ...string) error {
	return f.with("insert", table, name, true, func(c *fakeChain) error {
		if at < 1 || at > len(c.rules)+1 {
			return fmt.Errorf("no position %d", at)
		}
		c.rules = slices.Insert(c.rules, at-1, strings.Join(rule, " "))
		return nil
	})
}

// Delete implements Tables.
func (f *Fake) Delete(table, name string, rule ...string) error {
	return f.with("delete", table, name, true, func(c *fakeChain) error {
		i := slices.Index(c.rules, strings.Join(rule, " "))
		if i < 0 {
			return errors.New("no such rule")
		}
		c.rules = slices.Delete(c.rules, i, i+1)
		return nil
	})
}

// edit implements Tables.
func (f *Fake) edit(_ context.Context, table, name string, edits []edit) error {
	return f.with("edit", table, name, true, func(c *fakeChain) error {
		rules := slices.Clone(c.rules)
		for _, e := range edits {
			switch {
			case e.insert != "" && e.at >= 1 && e.at <= len(rules)+1:
				rules = slices.Insert(rules, e.at-1, e.insert)
			case e.insert == "" && e.at >= 1 && e.at <= len(rules):
				rules = slices.Delete(rules, e.at-1, e.at)
			default:
				return fmt.Errorf("no position %d", e.at)
			}
		}
		c.rules = rules
		return nil
	})
}
