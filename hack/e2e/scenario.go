//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
)

// Scenario is one story told to a site.
type Scenario struct {
	Name string
	// About is the comment at the head of the file.
	About string
	// Topology names the file in hack/lab/topologies; scenarios with the same
	// one share a site.
	Topology string
	Steps    []Step
	Files    map[string]string
}

// Mode says how a step is taken.
type Mode int

// The modes: do it; check it now; wait until it holds, with patience or for the
// time that is said; see that it holds all the time.
const (
	Do Mode = iota
	Check
	Wait
	Within
	During
)

// timed are the words that give an expectation a duration.
var timed = map[string]Mode{"wait": Wait, "within": Within, "during": During}

// Step is one line of a scenario.
type Step struct {
	Line int
	Text string
	Mode Mode
	// Limit bounds Wait and Within, and is the length of During.
	Limit time.Duration
	// Fails expects a command to fail.
	Fails bool
	Verb  string
	Args  []string
}

// maxLimit bounds every wait: a longer one is a mistake in the scenario.
const maxLimit = 5 * time.Minute

// Parse reads a scenario. Every mistake in it is reported, with its line.
func Parse(name string, text []byte) (*Scenario, error) {
	archive := txtar.Parse(text)
	s := &Scenario{Name: strings.TrimSuffix(filepath.Base(name), ".txtar"), Files: make(map[string]string)}
	for _, f := range archive.Files {
		s.Files[f.Name] = string(f.Data)
	}
	var errs []error
	head := true
	for i, line := range strings.Split(string(archive.Comment), "\n") {
		line = strings.TrimSpace(line)
		if comment, ok := strings.CutPrefix(line, "#"); ok || line == "" {
			if head && ok {
				s.About = strings.TrimSpace(s.About + " " + strings.TrimSpace(comment))
			}
			continue
		}
		head = false
		step, err := s.parseStep(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, i+1, err))
			continue
		}
		step.Line, step.Text = i+1, line
		if step.Verb == "topology" {
			s.Topology = step.Args[0]
			continue
		}
		s.Steps = append(s.Steps, step)
	}
	if s.Topology == "" {
		errs = append(errs, fmt.Errorf("%s: no step says which topology to use", name))
	}
	return s, errors.Join(errs...)
}

func (s *Scenario) parseStep(line string) (Step, error) {
	words, err := split(line)
	if err != nil {
		return Step{}, err
	}
	var step Step
	mode, hasLimit := timed[words[0]]
	switch {
	case hasLimit:
		if len(words) < 3 {
			return Step{}, fmt.Errorf("%s needs a duration and an expectation", words[0])
		}
		if step.Limit, err = time.ParseDuration(words[1]); err != nil || step.Limit <= 0 || step.Limit > maxLimit {
			return Step{}, fmt.Errorf("%q is not a duration up to %s", words[1], maxLimit)
		}
		step.Mode, words = mode, words[2:]
	case words[0] == "!":
		step.Fails = true
		words = words[1:]
	}
	if len(words) == 0 {
		return Step{}, errors.New("nothing is to be done")
	}
	step.Verb, step.Args = words[0], words[1:]
	if step.Verb == "topology" {
		if len(step.Args) != 1 {
			return Step{}, errors.New("topology needs a name")
		}
		return step, nil
	}
	return step, s.check(&step)
}

// check finds the verb and refuses what it cannot take.
func (s *Scenario) check(step *Step) error {
	v, known := verbs(nil)[step.Verb]
	if !known {
		return fmt.Errorf("step %q is not known", step.Verb)
	}
	switch {
	case v.expect != nil && step.Mode == Do:
		step.Mode = Check
	case v.expect == nil && step.Mode != Do:
		return fmt.Errorf("%s is something to do; only an expectation can be waited for", step.Verb)
	}
	if step.Fails && step.Verb != "ctl" {
		return errors.New("only ctl can be expected to fail")
	}
	if n := len(step.Args); n < v.least || v.most >= 0 && n > v.most {
		return fmt.Errorf("usage: %s %s", step.Verb, v.usage)
	}
	if v.file == nil {
		return nil
	}
	if name := v.file(step.Args); name != "" && s.Files[name] == "" {
		return fmt.Errorf("%s: the scenario has no file %q", step.Verb, name)
	}
	return nil
}

// split splits a line at blanks; '…' keeps blanks in a word.
func split(line string) ([]string, error) {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] == '\'' {
			word, rest, closed := strings.Cut(line[1:], "'")
			if !closed {
				return nil, errors.New("a quote is not closed")
			}
			words, line = append(words, word), rest
			continue
		}
		end := strings.IndexAny(line, " \t")
		if end < 0 {
			end = len(line)
		}
		words, line = append(words, line[:end]), line[end:]
	}
	return words, nil
}

// Load reads the scenarios of a folder whose name matches, in order of name.
func Load(dir string, match *regexp.Regexp) ([]*Scenario, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var all []*Scenario
	var errs []error
	for _, file := range files {
		if !match.MatchString(strings.TrimSuffix(filepath.Base(file), ".txtar")) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		s, err := Parse(file, text)
		all, errs = append(all, s), append(errs, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no scenario in %s matches %q", dir, match)
	}
	return all, errors.Join(errs...)
}
