package api_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/peerage/peerage/api"
)

// update rewrites the expectations of testdata; read the diff before it is
// committed.
var update = flag.Bool("update", false, "rewrite the expected messages and objects")

func TestParseGood(t *testing.T) {
	for _, file := range glob(t, "testdata/good/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			objects, err := api.Parse(filepath.Base(file), read(t, file))
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, o := range objects {
				data, err := api.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				got.Write(data)
				got.WriteByte('\n')
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".jsonl", got.String())
		})
	}
}

// Each bad file has its messages beside it: where, what, and what to write
// instead.
func TestParseBad(t *testing.T) {
	for _, file := range glob(t, "testdata/bad/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			objects, err := api.Parse(filepath.Base(file), read(t, file))
			if err == nil {
				t.Fatalf("parsed: %v", objects)
			}
			for _, e := range api.FieldErrors(err) {
				if e.Line == 0 && !strings.Contains(e.Problem, "unknown anchor") {
					t.Errorf("no line: %v", e)
				}
				if e.Problem == "" || e.Fix == "" {
					t.Errorf("no problem or no way out: %#v", e)
				}
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".err", err.Error()+"\n")
		})
	}
}

func TestParseLarge(t *testing.T) {
	data := make([]byte, 10<<20)
	file := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	want := "the file has 10485760 bytes (10.0 MiB), and at most 1048576 are read; split it into several files"
	_, err := api.ParseFiles([]string{file})
	if err == nil || err.Error() != file+": "+want {
		t.Errorf("ParseFiles: %v", err)
	}
	_, err = api.Parse("large.yaml", data)
	if err == nil || err.Error() != "large.yaml: "+want {
		t.Errorf("Parse: %v", err)
	}
}

// Text within the size limit must not take more memory or depth than it is
// worth, and the messages stay bounded.
func TestParseHostile(t *testing.T) {
	for name, text := range map[string]string{
		"deep flow":  strings.Repeat("[", 1<<19),
		"deep block": strings.Repeat("- ", 1<<18),
		"documents":  strings.Repeat("---\n", 1<<17),
		"long key":   strings.Repeat("k", 1<<19) + ": v\n",
		"bomb":       "a: &a [x]\n" + strings.Repeat("b: [*a,*a,*a,*a]\n", 1<<14),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := api.Parse(name, []byte(text))
			if err == nil {
				t.Fatal("parsed")
			}
			if n := len(err.Error()); n > 64<<10 {
				t.Errorf("the messages have %d bytes", n)
			}
		})
	}
}

func TestParseFiles(t *testing.T) {
	dir := t.TempDir()
	server := func(name, address string) string {
		return "apiVersion: peerage/v1\nkind: RealServer\nmetadata: {name: " + name + "}\nspec: {addresses: [" + address + "]}\n"
	}
	for file, text := range map[string]string{
		"b.yaml":           server("rs-3", "192.0.2.3"),
		"a/x.yml":          server("rs-1", "192.0.2.1"),
		"a/y.yaml":         server("rs-2", "192.0.2.2"),
		"a/notes.txt":      "not read",
		".git/c.yaml":      "not read",
		"a/.y.yaml.swp":    "not read",
		"a/.hidden.yaml":   "not read",
		"single/more.conf": server("rs-4", "192.0.2.4"),
	} {
		path := filepath.Join(dir, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	objects, err := api.ParseFiles([]string{dir, filepath.Join(dir, "single/more.conf")})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range objects {
		got = append(got, api.Key(o))
	}
	if diff := cmp.Diff([]string{"RealServer/rs-1", "RealServer/rs-2", "RealServer/rs-3", "RealServer/rs-4"}, got); diff != "" {
		t.Error(diff)
	}

	for name, paths := range map[string][]string{
		"holds no *.yaml":    {filepath.Join(dir, "single")},
		"no such file":       {filepath.Join(dir, "missing.yaml")},
		"no file given":      nil,
		"is defined at":      {filepath.Join(dir, "b.yaml"), filepath.Join(dir, "b.yaml")},
		"this is not YAML":   {filepath.Join(dir, "a/notes.txt"), "testdata/bad/syntax-tab.yaml"},
		"is a list":          {"testdata/bad/list-document.yaml"},
		"document is text":   {filepath.Join(dir, "a/notes.txt")},
		"there is no object": {"testdata/bad/empty.yaml"},
	} {
		if _, err := api.ParseFiles(paths); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A site that people paste must work.
func TestExampleSite(t *testing.T) {
	objects, err := api.ParseFiles([]string{"../docs/examples/site"})
	if err != nil {
		t.Fatal(err)
	}
	if err := api.ValidateSite(objects); err != nil {
		t.Error(err)
	}
	for _, w := range api.SiteWarnings(objects) {
		t.Error(w)
	}
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	return files
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(read(t, file)), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
