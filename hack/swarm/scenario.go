package swarm

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// Limits of a scenario file.
const (
	maxScenario     = 1 << 20 // bytes
	maxPhases       = 200
	defaultTimeout  = time.Minute // of run and until
	maxPhaseTimeout = 24 * time.Hour
)

// load reads a scenario: its flags go into f unless the command line has them.
func (o *options) load(path string, f *pflag.FlagSet) ([]phase, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxScenario {
		return nil, fmt.Errorf("%s has %d bytes; a scenario has at most %d", path, info.Size(), maxScenario)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	phases, err := parseScenario(b, f)
	if err != nil {
		return nil, inFile(path, err)
	}
	return phases, nil
}

// inFile puts the name of the file before each line of an error.
func inFile(path string, err error) error {
	lines := strings.Split(err.Error(), "\n")
	for i, l := range lines {
		lines[i] = path + ":" + strings.TrimPrefix(l, "line ")
	}
	return errors.New(strings.Join(lines, "\n"))
}

func parseScenario(b []byte, f *pflag.FlagSet) ([]phase, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("line 1: a scenario is a mapping with swarm and phases")
	}
	var phases []phase
	var errs []error
	err := eachKey(doc.Content[0], func(key, value *yaml.Node) error {
		switch key.Value {
		case "swarm":
			errs = append(errs, setFlags(value, f))
		case "phases":
			var err error
			phases, err = parsePhases(value)
			errs = append(errs, err)
		default:
			return unknownKey(key, "swarm, phases")
		}
		return nil
	})
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	if len(phases) == 0 {
		return nil, errors.New("line 1: no phases; a scenario needs some, such as - hold: 1m")
	}
	return phases, nil
}

// eachKey calls use for the pairs of a mapping; keys come once.
func eachKey(n *yaml.Node, use func(key, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return at(n, "expected a mapping")
	}
	var errs []error
	var seen []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if slices.Contains(seen, key.Value) {
			errs = append(errs, at(key, "key %q appears twice", key.Value))
			continue
		}
		seen = append(seen, key.Value)
		errs = append(errs, use(key, n.Content[i+1]))
	}
	return errors.Join(errs...)
}

func at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: "+format, append([]any{n.Line}, args...)...)
}

func unknownKey(key *yaml.Node, known string) error {
	return at(key, "unknown key %q; the keys are %s", key.Value, known)
}

// setFlags sets flags from a mapping of their names.
func setFlags(n *yaml.Node, f *pflag.FlagSet) error {
	return eachKey(n, func(key, value *yaml.Node) error {
		flag := f.Lookup(key.Value)
		if flag == nil || key.Value == "help" {
			return unknownKey(key, "the names of the flags; see peerage-swarm run --help")
		}
		words, err := words(value)
		if err != nil {
			return err
		}
		if flag.Changed {
			return nil // the command line wins
		}
		if err := flag.Value.Set(strings.Join(words, ",")); err != nil {
			return at(value, "%s: %v", key.Value, err)
		}
		return nil
	})
}

// words is a scalar, or the scalars of a list.
func words(n *yaml.Node) ([]string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		return []string{n.Value}, nil
	case yaml.SequenceNode:
		var ws []string
		for _, c := range n.Content {
			if c.Kind != yaml.ScalarNode {
				return nil, at(c, "expected a word")
			}
			ws = append(ws, c.Value)
		}
		return ws, nil
	default:
		return nil, at(n, "expected a word or a list of words")
	}
}

func parsePhases(n *yaml.Node) ([]phase, error) {
	if n.Kind != yaml.SequenceNode || len(n.Content) > maxPhases {
		return nil, at(n, "expected a list of at most %d phases", maxPhases)
	}
	var ps []phase
	var errs []error
	for i, c := range n.Content {
		p, err := parsePhase(c)
		if p.name == "" {
			p.name = fmt.Sprintf("%d %s", i+1, p.kind)
		}
		ps = append(ps, p)
		errs = append(errs, err)
	}
	return ps, errors.Join(errs...)
}

const phaseKinds = "ramp, hold, run, until, assert, mark, reset"

func parsePhase(n *yaml.Node) (p phase, err error) {
	var timeout time.Duration
	var kinds int
	err = eachKey(n, func(key, value *yaml.Node) (err error) {
		switch key.Value {
		case "name":
			p.name = value.Value
			return nil
		case "timeout":
			timeout, err = duration(value)
			return err
		}
		kinds++
		p.kind = phaseKind(key.Value)
		switch p.kind {
		case phaseRamp, phaseHold:
			p.limit, err = duration(value)
		case phaseRun:
			p.command, err = shellOrWords(value)
		case phaseAssert, phaseUntil:
			p.expect, err = expectations(value)
		case phaseReset:
			p.which = value.Value
			if _, wrong := parseIndexes(p.which, MaxSessions); wrong != nil {
				err = at(value, "%v", wrong)
			}
		case phaseMark:
			if value.Value != "true" {
				err = at(value, "write mark: true")
			}
		default:
			kinds--
			p.kind = ""
			err = unknownKey(key, "name, timeout, and one of "+phaseKinds)
		}
		return err
	})
	if err != nil {
		return p, err
	}
	if kinds != 1 {
		return p, at(n, "a phase has exactly one of %s; this one has %d", phaseKinds, kinds)
	}
	if p.kind == phaseRun || p.kind == phaseUntil {
		p.limit = defaultTimeout
		if timeout > 0 {
			p.limit = timeout
		}
	} else if timeout > 0 {
		return p, at(n, "timeout is for run and until alone")
	}
	return p, nil
}

func duration(n *yaml.Node) (time.Duration, error) {
	d, err := time.ParseDuration(n.Value)
	if err != nil || d <= 0 || d > maxPhaseTimeout {
		return 0, at(n, "%q is not a duration from 1ns to %s; write one with a unit, such as 30s", n.Value, maxPhaseTimeout)
	}
	return d, nil
}

// shellOrWords is a list of words, or a line for the shell.
func shellOrWords(n *yaml.Node) ([]string, error) {
	ws, err := words(n)
	if err != nil {
		return nil, err
	}
	if len(ws) == 0 || ws[0] == "" {
		return nil, at(n, "no command to run")
	}
	if n.Kind == yaml.ScalarNode {
		return []string{"/bin/sh", "-c", ws[0]}, nil
	}
	return ws, nil
}

func expectations(n *yaml.Node) (es []Expectation, err error) {
	ws, err := words(n)
	if err != nil {
		return nil, err
	}
	for _, w := range ws {
		e, err := ParseExpectation(w)
		if err != nil {
			return nil, at(n, "%v", err)
		}
		es = append(es, e)
	}
	return es, nil
}
