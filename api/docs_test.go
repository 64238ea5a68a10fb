package api

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func textOf(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestOperationsListsTheExitCodes(t *testing.T) {
	text := textOf(t, "../docs/operations.md")
	for _, c := range ExitCodes() {
		if row := fmt.Sprintf("| %d | %s |", c, c); !strings.Contains(text, row) {
			t.Errorf("docs/operations.md lacks %q", row)
		}
	}
}

// An alert without a runbook, or on a metric that nothing exposes, is noise.
func TestAlertsHaveRunbooksAndMetrics(t *testing.T) {
	rules := textOf(t, "../docs/runbooks/alerts.yaml")
	operations := textOf(t, "../docs/operations.md")
	for _, m := range regexp.MustCompile(`runbook: (\S+)`).FindAllStringSubmatch(rules, -1) {
		textOf(t, filepath.Join("..", m[1]))
	}
	for _, m := range regexp.MustCompile(`alert: (\S+)`).FindAllStringSubmatch(rules, -1) {
		if !strings.Contains(operations, m[1]) {
			t.Errorf("docs/operations.md does not name the alert %s", m[1])
		}
	}
	golden := exposed(t)
	for _, name := range regexp.MustCompile(`peerage_[a-z_]+`).FindAllString(rules, -1) {
		inCollector := strconv.Quote(strings.TrimPrefix(name, "peerage_agent_"))
		if !strings.Contains(golden, name) && !strings.Contains(golden, inCollector) {
			t.Errorf("no golden /metrics and no source file has the metric %s", name)
		}
	}
}

// exposed is the text of everything that names metrics.
func exposed(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"../*/testdata/*metrics*", "../*/*/testdata/*metrics*", "../api/store/metrics.go", "../realserver/metrics.go", "../agent/collect.go"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			all.WriteString(textOf(t, p))
		}
	}
	return all.String()
}

// Links between the documents lead somewhere.
func TestDocumentsLinkToFiles(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../docs/*/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			for _, m := range link.FindAllStringSubmatch(textOf(t, p), -1) {
				if _, err := os.Stat(filepath.Join(filepath.Dir(p), m[1])); err != nil {
					t.Errorf("%s: link to %s: %v", p, m[1], err)
				}
			}
		}
	}
}
