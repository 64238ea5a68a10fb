package swarm

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/peerage/peerage/api"
)

func parseFile(t *testing.T, path string) (options, []phase, error) {
	t.Helper()
	var o options
	f := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.flags(f)
	phases, err := o.load(path, f)
	return o, phases, err
}

func writeScenario(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scenario.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestExamples: what the repository shows is what the program takes.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, path := range files {
		o, phases, err := parseFile(t, path)
		if err != nil {
			t.Error(err)
			continue
		}
		cfg, err := o.config()
		if err == nil {
			_, err = New(cfg)
		}
		if err != nil || phases[0].kind != phaseRamp {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestScenarioIsRead(t *testing.T) {
	o, phases, err := parseFile(t, "examples/depool.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if o.sessions != 400 || len(o.targets) != 2 || o.targets[1] != "[2001:db8:179::179]:179" || o.as != "64512-64911" {
		t.Errorf("%+v", o)
	}
	var got []string
	for _, p := range phases {
		got = append(got, p.name+": "+string(p.kind)+" "+p.limit.String()+" "+strings.Join(p.command, "|"))
	}
	want := []string{
		"everybody up: ramp 2m0s ", "steady: hold 3m0s ", "3 assert: assert 0s ",
		"depool rs-3: run 2m0s /bin/sh|-c|peeragectl depool rs-3 --reason rehearsal",
		"settle: hold 1m0s ", "moved once, and only a share: assert 0s ", "7 mark: mark 0s ",
		"pool rs-3: run 1m0s peeragectl|pool|rs-3|--reason|rehearsal is over", "9 hold: hold 1m0s ", "balanced again: assert 0s ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestScenarioRefused(t *testing.T) {
	const ok = "phases: [{hold: 1s}]\n"
	tests := map[string]struct{ text, want string }{
		"unknown key":         {"swarm: {}\nphase: []\n", `:2: unknown key "phase"; the keys are swarm, phases`},
		"unknown flag":        {"swarm:\n  sessions: 5\n  session: 6\n" + ok, `:3: unknown key "session"; the keys are the names of the flags`},
		"unknown phase key":   {"phases:\n  - hold: 1s\n  - sleep: 1s\n", `:3: unknown key "sleep"; the keys are name, timeout, and one of`},
		"bad flag value":      {"swarm:\n  sessions: many\n" + ok, `:2: sessions: strconv.ParseInt`},
		"key twice":           {"phases:\n  - hold: 1s\n    hold: 2s\n", `:3: key "hold" appears twice`},
		"two kinds":           {"phases:\n  - hold: 1s\n    run: ls\n", ":2: a phase has exactly one of ramp, hold, run, until, assert, mark, reset; this one has 2"},
		"no kind":             {"phases:\n  - name: x\n", "this one has 0"},
		"no unit":             {"phases:\n  - hold: 10\n", `:2: "10" is not a duration`},
		"negative":            {"phases:\n  - ramp: -1s\n", "is not a duration"},
		"timeout of a hold":   {"phases:\n  - hold: 1s\n    timeout: 1s\n", ":2: timeout is for run and until alone"},
		"reset of nothing":    {"phases:\n  - reset: \"\"\n", ":2: sessions"},
		"reset backwards":     {"phases:\n  - reset: 9-5\n", `sessions "9-5": write all, or numbers and ranges`},
		"bad expectation":     {"phases:\n  - assert: [flapped=0]\n", `:2: expectation "flapped=0"`},
		"unknown metric":      {"phases:\n  - assert: [flap==0]\n", `metric "flap" is not known`},
		"no command":          {"phases:\n  - run: []\n", "no command to run"},
		"command is a map":    {"phases:\n  - run: {a: b}\n", ":2: expected a word or a list of words"},
		"mark is no":          {"phases:\n  - mark: no\n", ":2: write mark: true"},
		"no phases":           {"swarm: {}\n", "no phases"},
		"a list":              {"- hold: 1s\n", "a scenario is a mapping"},
		"phases is a mapping": {"phases: {hold: 1s}\n", "expected a list"},
		"empty":               {"", "a scenario is a mapping"},
		"no YAML":             {"phases: [\n", ":1: did not find expected node content"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := parseFile(t, writeScenario(t, tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "scenario.yaml:") {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}

// command runs the program.
func runMain(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	err = Main(ctx, args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), err
}

func TestScenarioIsPlayed(t *testing.T) {
	fake := startSpeaker(t, "127.0.0.1", polite("10.0.0.1"))
	dir := t.TempDir()
	path := writeScenario(t, `
swarm: {target: "127.0.0.1:1", from: 127.1.0.0/24, sessions: 5, profile: eager}
phases:
  - {name: up, ramp: 30s}
  - {run: "echo said >`+dir+`/said"}
  - hold: 10ms
  - assert: [flapped==0, established==5]
  - mark: true
  - {name: impossible, assert: [established==6, flapped==1]}
  - {run: "touch `+dir+`/never"}
`)
	out, log, err := runMain(t.Context(), "run", path, "-o", "json", "--target", fake.target.String(),
		"--records", dir+"/records", "--changes", dir+"/changes", "--histogram", dir+"/h.svg")
	if api.ExitCodeOf(err) != api.ExitFailure || !strings.Contains(err.Error(), `phase "impossible": expectation not met: expected established==6, but established is 5`) {
		t.Errorf("error is %v", err)
	}
	var r Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Phases) != 6 || r.Phases[5].Failed == "" || len(r.Failed) != 2 || r.Established != 5 || r.Since <= 0 {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(log, "phase: up\n") {
		t.Errorf("log is %s", log)
	}
	if _, err := os.Stat(dir + "/said"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir + "/never"); err == nil {
		t.Error("a phase was played after the one that failed")
	}
	checkLines(t, dir+"/records", 5, `"server":"10.0.0.1"`)
	checkLines(t, dir+"/changes", 5*4, `"index":`)
}

func checkLines(t *testing.T, path string, n int, has string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) != n {
		t.Errorf("%s has %d lines, not %d", path, len(lines), n)
	}
	for _, l := range lines {
		if !json.Valid([]byte(l)) || !strings.Contains(l, has) {
			t.Errorf("%s: %s", path, l)
		}
	}
}

func TestPhasesThatFail(t *testing.T) {
	fake := startSpeaker(t, "127.0.0.1", polite("10.0.0.1"))
	silent := startSpeaker(t, "127.0.0.1", func(p *peer) { p.drain() })
	tests := map[string]struct {
		target, phase, want string
		code                api.ExitCode
	}{
		"ramp":            {silent.target.String(), "ramp: 50ms", "0 of 1 sessions established within 50ms", api.ExitTimeout},
		"command fails":   {fake.target.String(), "run: exit 3", "exit status 3", api.ExitFailure},
		"command hangs":   {fake.target.String(), "{run: 'sleep 1000 & sleep 1000', timeout: 50ms}", "did not end within 50ms", api.ExitFailure},
		"command missing": {fake.target.String(), "run: [/nonexistent/program]", "no such file", api.ExitFailure},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := writeScenario(t, "swarm: {from: 127.1.0.0/24, sessions: 1}\nphases:\n  - "+tt.phase+"\n")
			out, _, err := runMain(t.Context(), "run", path, "--target", tt.target)
			if err == nil || !strings.Contains(err.Error(), tt.want) || api.ExitCodeOf(err) != tt.code {
				t.Errorf("exit code %d, error %v", api.ExitCodeOf(err), err)
			}
			if !strings.Contains(out, "established") {
				t.Errorf("no report: %s", out)
			}
		})
	}
}

// TestInterruption: a Ctrl-C prints the report; in a scenario it is a failure.
func TestInterruption(t *testing.T) {
	fake := startSpeaker(t, "127.0.0.1", polite("10.0.0.1"))
	flags := []string{"--target", fake.target.String(), "--from", "127.1.0.0/24", "--sessions", "2", "-o", "json"}
	path := writeScenario(t, "phases: [{name: stay, hold: 1h}]\n")
	for name, args := range map[string][]string{
		"plain": append(flags, "--expect", "established==2"), "scenario": append([]string{"run", path}, flags...),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			before := len(fake.peers())
			go func() {
				for len(fake.peers()) < before+2 && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(200 * time.Millisecond)
				cancel()
			}()
			out, _, err := runMain(ctx, args...)
			var r Report
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatal(err)
			}
			if !r.Interrupted || r.Established != 2 {
				t.Errorf("%+v", r)
			}
			if failed := err != nil; failed != (name == "scenario") {
				t.Errorf("error is %v", err)
			}
			for _, p := range fake.peers()[before:] {
				await(t, "a Cease arrives", func() bool { return strings.HasPrefix(p.notification(), "cease") })
			}
		})
	}
}
