package swarm

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentation: what docs/swarm.md shows is what the program takes.
func TestDocumentation(t *testing.T) {
	b, err := os.ReadFile("../../docs/swarm.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	root := command()
	for _, c := range regexp.MustCompile("`peerage-swarm ([a-z]+)").FindAllStringSubmatch(text, -1) {
		if found, _, err := root.Find([]string{c[1]}); err != nil || found == root {
			t.Errorf("there is no command %s", c[1])
		}
	}
	for _, flag := range regexp.MustCompile(`--([a-z][a-z0-9-]*)`).FindAllStringSubmatch(text, -1) {
		if root.Flags().Lookup(flag[1]) == nil && flag[1] != "help" && flag[1] != "reason" {
			t.Errorf("there is no flag --%s", flag[1])
		}
	}
	for _, e := range regexp.MustCompile(`--expect '([^']+)'`).FindAllStringSubmatch(text, -1) {
		if _, err := ParseExpectation(e[1]); err != nil {
			t.Error(err)
		}
	}
	_, scenario, ok := strings.Cut(text, "```yaml\n")
	scenario, _, _ = strings.Cut(scenario, "```")
	if !ok {
		t.Fatal("no scenario")
	}
	if _, phases, err := parseFile(t, writeScenario(t, scenario)); err != nil || len(phases) != 8 {
		t.Errorf("%d phases, %v", len(phases), err)
	}
	for _, p := range Profiles() {
		if !strings.Contains(text, "`"+p.Name+"`") {
			t.Errorf("profile %s is not documented", p.Name)
		}
	}
}
