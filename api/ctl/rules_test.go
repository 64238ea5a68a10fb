package ctl_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/ctl"
)

// run runs a command that needs no server.
func runCommand(t *testing.T, args ...string) (stdout string, code api.ExitCode) {
	t.Helper()
	var out, errs bytes.Buffer
	err := ctl.Run(t.Context(), ctl.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Version: "v1"}, args)
	return out.String(), api.ExitCodeOf(err)
}

// TestEveryCommandHasAnExample looks at the help of each command.
func TestEveryCommandHasAnExample(t *testing.T) {
	var walk func(path []string)
	walk = func(path []string) {
		help, code := runCommand(t, append(path, "--help")...)
		name := strings.Join(path, " ")
		if code != api.ExitOK || !strings.Contains(help, "Examples:\n  ") && !strings.Contains(help, "For example:") {
			t.Errorf("%q has no example:\n%s", name, help)
		}
		if strings.Contains(help, "\t") {
			t.Errorf("the help of %q has a tab, which no terminal agrees on", name)
		}
		completions, _ := runCommand(t, append(append([]string{"__complete"}, path...), "")...)
		for line := range strings.Lines(completions) {
			child, description, found := strings.Cut(strings.TrimSpace(line), "\t")
			if found && description != "" && child != "help" && !strings.HasPrefix(child, "-") && len(path) < 2 && path0(path) != "help" {
				walk(append(append([]string{}, path...), child))
			}
		}
	}
	walk(nil)
}

func path0(path []string) string {
	if len(path) == 0 {
		return ""
	}
	return path[0]
}

// TestDependencies keeps servers and kernels out of a program that runs on
// any desk.
func TestDependencies(t *testing.T) {
	out, err := goTool(t, "list", "-deps", "github.com/peerage/peerage/api/cmd/peeragectl").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		for _, forbidden := range []string{"go.etcd.io/", "google.golang.org/grpc", "libipvs", "vishvananda/netlink", "go-iptables",
			"peerage/api/server", "peerage/api/store", "peerage/controller", "peerage/agent", "peerage/realserver", "runtime/cgo"} {
			if strings.Contains(dep, forbidden) {
				t.Errorf("peeragectl depends on %s", dep)
			}
		}
	}
}

// TestDarwin type-checks the program for a desk that does not run Linux. It
// reads sources, and bodies of functions only of our own: to compile the
// standard library for another platform takes minutes.
func TestDarwin(t *testing.T) {
	cmd := goTool(t, "list", "-deps", "-json=ImportPath,Dir,GoFiles,ImportMap", "github.com/peerage/peerage/api/cmd/peeragectl")
	cmd.Env = append(cmd.Env, "GOOS=darwin", "GOARCH=arm64")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	// The list is in order: a package comes after what it imports.
	known := map[string]*types.Package{"unsafe": types.Unsafe}
	files := token.NewFileSet()
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if p.ImportPath == "unsafe" {
			continue
		}
		ours := strings.HasPrefix(p.ImportPath, "github.com/peerage/")
		var parsed []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, f)
		}
		cfg := types.Config{IgnoreFuncBodies: !ours, Sizes: types.SizesFor("gc", "arm64"), FakeImportC: true,
			Importer: importer(func(path string) (*types.Package, error) {
				if mapped, ok := p.ImportMap[path]; ok {
					path = mapped
				}
				if known[path] == nil {
					return nil, fmt.Errorf("%s is not there", path)
				}
				return known[path], nil
			}),
			Error: func(err error) {
				if ours {
					t.Error(err)
				}
			}}
		known[p.ImportPath], err = cfg.Check(p.ImportPath, files, parsed, nil)
		if err != nil && ours {
			t.Fatal(err)
		}
	}
	if len(known) < 100 {
		t.Errorf("only %d packages were checked", len(known))
	}
}

// listed is a package as go list tells of it.
type listed struct {
	ImportPath, Dir string
	GoFiles         []string
	ImportMap       map[string]string
}

type importer func(path string) (*types.Package, error)

// Import implements types.Importer.
func (f importer) Import(path string) (*types.Package, error) { return f(path) }

func goTool(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return cmd
}
