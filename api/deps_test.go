package api_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/peerage/peerage/"

// source is one Go file of the repository.
type source struct {
	path    string // slash-separated, from the root
	pkg     string // its directory
	test    bool
	file    *ast.File
	lines   int
	imports []string
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "out") {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		s := source{path: name, pkg: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), file: file, lines: bytes.Count(text, []byte("\n"))}
		for _, i := range file.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, p)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// below tells whether a path is a directory or something in it.
func below(p string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") })
}

// The parts do not know one another: what they share is in api.
func TestPartsAreApart(t *testing.T) {
	parts := []string{"controller", "agent", "realserver"}
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			to, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			from := strings.SplitN(s.pkg, "/", 2)[0]
			target := strings.SplitN(to, "/", 2)[0]
			switch {
			case target == "hack" && from != "hack" && !s.test:
				t.Errorf("%s imports %s: programs do not need tools", s.path, to)
			case slices.Contains(parts, from) && slices.Contains(parts, target) && from != target:
				t.Errorf("%s imports %s: %s and %s must not know one another", s.path, to, from, target)
			case from == "api" && target != "api" && (!s.test || target != "hack"):
				t.Errorf("%s imports %s: api knows none of the parts", s.path, to)
			case s.pkg == "api" && target == "api" && to != "api" && !s.test:
				t.Errorf("%s imports %s: the nouns know nothing of their users", s.path, to)
			case below(to, "api/ctl") && !below(s.pkg, "api/ctl", "api/cmd/peeragectl", "hack"):
				t.Errorf("%s imports %s: the CLI is for peeragectl", s.path, to)
			}
		}
	}
}

// What computes must not do anything else: it imports api and the standard
// library, and of the latter nothing that does I/O.
func TestPureCode(t *testing.T) {
	pure := func(s source) bool {
		return below(s.pkg, "controller/plan", "controller/mh", "realserver/bgp", "realserver/rib") || path.Base(s.path) == "diff.go"
	}
	impure := []string{"net", "net/http", "os", "os/exec", "syscall", "log", "log/slog"}
	for _, s := range sources(t) {
		if s.test || !pure(s) {
			continue
		}
		for _, imported := range s.imports {
			to, ours := strings.CutPrefix(imported, module)
			std := !strings.Contains(strings.SplitN(imported, "/", 2)[0], ".")
			same := ours && below(to, s.pkg)
			if ours && to != "api" && !same || !ours && !std || slices.Contains(impure, imported) {
				t.Errorf("%s imports %s: pure code imports api and the pure part of the standard library", s.path, imported)
			}
		}
	}
}

// Each third-party system has one door.
func TestOneDoorEach(t *testing.T) {
	doors := []struct {
		prefix string
		dirs   []string
	}{
		{"go.etcd.io/etcd/client", []string{"api/store"}},
		{"go.etcd.io/etcd/api", []string{"api/store"}},
		{"go.etcd.io/etcd/server", []string{"api/store/embed", "api/store/storetest"}},
		{"github.com/mqliang/libipvs", []string{"agent/ipvs"}},
		{"github.com/hkwi/nlgo", []string{"agent/ipvs"}},
		{"github.com/vishvananda/netlink", []string{"agent/ipvs", "agent/connsync", "api/node/hostnet"}},
		{"github.com/coreos/go-iptables", []string{"agent/netfilter"}},
		{"go.yaml.in/yaml", []string{"api", "api/node", "api/ctl"}},
	}
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			for _, door := range doors {
				// Tests and the lab may check from outside.
				if below(imported, door.prefix) && !s.test && !below(s.pkg, "hack") && !below(s.pkg, door.dirs...) {
					t.Errorf("%s imports %s: only %s may", s.path, imported, strings.Join(door.dirs, ", "))
				}
			}
			// The embedded store is for the controller's command and for tests.
			if to := strings.TrimPrefix(imported, module); to == "api/store/embed" && !s.test &&
				!below(s.pkg, "api/store", "controller/cmd", "hack") {
				t.Errorf("%s imports %s: only the controller's command may", s.path, to)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		key := s.pkg + " (" + s.file.Name.Name + ")"
		documented[key] = documented[key] || strings.TrimSpace(s.file.Doc.Text()) != ""
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}

func TestFileSize(t *testing.T) {
	const most = 500
	for _, s := range sources(t) {
		if s.lines > most && !ast.IsGenerated(s.file) {
			t.Errorf("%s has %d lines, more than %d: split it by idea", s.path, s.lines, most)
		}
	}
}

// main wires: what is worth a test is elsewhere.
func TestMainIsSmall(t *testing.T) {
	const most = 40
	for _, s := range sources(t) {
		if s.file.Name.Name != "main" || below(s.pkg, "hack") {
			continue
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if ok && f.Name.Name == "main" && len(f.Body.List) > most {
				t.Errorf("%s: main is longer than %d statements", s.path, most)
			}
		}
	}
}

// No package runs code by being imported.
func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function: call it by its name", s.path)
			}
		}
	}
}

func TestTopLevel(t *testing.T) {
	allowed := []string{"api", "controller", "agent", "realserver", "hack", "docs",
		"go.mod", "go.sum", "Makefile", "LICENSE", "README.md"}
	built := []string{"bin", "out"} // ignored by git
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowed, e.Name()) && !slices.Contains(built, e.Name()) {
			t.Errorf("%s does not belong at the top level; it has %s", e.Name(), strings.Join(allowed, ", "))
		}
	}
}

// A package is a short noun: a name that says nothing attracts everything.
func TestPackageNames(t *testing.T) {
	for _, s := range sources(t) {
		name := strings.TrimSuffix(s.file.Name.Name, "_test")
		if slices.Contains([]string{"util", "utils", "common", "helpers", "types", "manager", "misc"}, name) {
			t.Errorf("%s: package %s says nothing", s.path, name)
		}
		if name != "main" && !s.test && filepath.Base(s.pkg) != name {
			t.Errorf("%s: package %s is in a directory of another name", s.path, name)
		}
	}
}
