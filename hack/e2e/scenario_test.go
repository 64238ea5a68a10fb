//go:build linux

package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/hack/lab"
)

func TestParse(t *testing.T) {
	s, err := Parse("depool.txtar", []byte(`# A server is taken out.
# Its sessions stay.
topology small

save mapping before
! ctl depool rs-9 --reason 'no such server'
wait 10s weight rs-3 0
within 2s weight rs-3 0
during 500ms flapped 0
tables golden table
-- table --
-A -t 203.0.113.179:179 -s mh
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Scenario{
		Name: "depool", About: "A server is taken out. Its sessions stay.", Topology: "small",
		Steps: []Step{
			{Line: 5, Text: "save mapping before", Mode: Do, Verb: "save", Args: []string{"mapping", "before"}},
			{Line: 6, Text: "! ctl depool rs-9 --reason 'no such server'", Fails: true, Verb: "ctl", Args: []string{"depool", "rs-9", "--reason", "no such server"}},
			{Line: 7, Text: "wait 10s weight rs-3 0", Mode: Wait, Limit: 10 * time.Second, Verb: "weight", Args: []string{"rs-3", "0"}},
			{Line: 8, Text: "within 2s weight rs-3 0", Mode: Within, Limit: 2 * time.Second, Verb: "weight", Args: []string{"rs-3", "0"}},
			{Line: 9, Text: "during 500ms flapped 0", Mode: During, Limit: 500 * time.Millisecond, Verb: "flapped", Args: []string{"0"}},
			{Line: 10, Text: "tables golden table", Mode: Check, Verb: "tables", Args: []string{"golden", "table"}},
		},
		Files: map[string]string{"table": "-A -t 203.0.113.179:179 -s mh\n"},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct{ line, want string }{
		"unknown step":           {"frobnicate", `step "frobnicate" is not known`},
		"wait for a command":     {"wait 1s kill lb-1", "only an expectation can be waited for"},
		"wait without a time":    {"wait established all", `"established" is not a duration`},
		"wait too long":          {"wait 6m established all", "is not a duration up to 5m0s"},
		"nothing to wait for":    {"wait 3s", "needs a duration and an expectation"},
		"too few arguments":      {"weight rs-1", "usage: weight SERVER N"},
		"too many arguments":     {"established 1 2", "usage: established N|all"},
		"missing file":           {"tables golden nowhere", `no file "nowhere"`},
		"missing argument file":  {"ctl apply -f @nowhere", `no file "nowhere"`},
		"open quote":             {"ctl 'depool", "a quote is not closed"},
		"failing expectation":    {"! established all", "only ctl can be expected to fail"},
		"nothing":                {"!", "nothing is to be done"},
		"topology without name":  {"topology", "topology needs a name"},
		"no topology in a story": {"mark", "no step says which topology"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("x.txtar", []byte(test.line+"\n"))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// Every scenario in the repository can be run: its steps are known, and so is
// its topology.
func TestScenarios(t *testing.T) {
	all, err := Load("scenarios", regexp.MustCompile(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if _, err := lab.ReadTopology("../lab/topologies/" + s.Topology + ".yaml"); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		if s.About == "" {
			t.Errorf("%s does not say what it is about", s.Name)
		}
	}
}

func TestMoved(t *testing.T) {
	before := Mapping{"c-001": "rs-1", "c-002": "rs-2", "c-003": "rs-3", "c-004": "rs-3"}
	now := Mapping{"c-001": "rs-1", "c-002": "rs-1", "c-003": "rs-1"}
	want := []string{"c-002 rs-2 to rs-1", "c-003 rs-3 to rs-1", "c-004 rs-3 to nowhere"}
	if diff := cmp.Diff(want, now.Moved(before)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[:1], now.Moved(before, "rs-3")); diff != "" {
		t.Error(diff)
	}
	if got, want := before.String(), "rs-1:1 rs-2:1 rs-3:2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
