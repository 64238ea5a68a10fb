package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode fs.FileMode) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(file, []byte(text), mode), os.Chmod(file, mode)); err != nil {
			t.Fatal(err)
		}
	}
	write("plain", "hunter2", 0o600)
	write("newline", "hunter2\n", 0o400)
	write("longest", strings.Repeat("k", 80)+"\n", 0o600)
	write("spaces", " a b ", 0o600)
	write("empty", "\n", 0o600)
	write("long", strings.Repeat("k", 81), 0o600)
	write("huge", strings.Repeat("k", 10<<20), 0o600)
	write("lines", "hunter2\nhunter3\n", 0o600)
	write("binary", "hunter2\x00", 0o600)
	write("open", "hunter2", 0o644)
	write("group", "hunter2", 0o640)
	write("exec", "hunter2", 0o700)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "dir"), 0o700),
		os.Symlink("/etc/hostname", filepath.Join(dir, "out")),
		os.Symlink("plain", filepath.Join(dir, "link")),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}

	secrets := OpenSecrets(dir)
	for name, want := range map[string]string{"plain": "hunter2", "newline": "hunter2", "longest": strings.Repeat("k", 80), "spaces": " a b ", "link": "hunter2"} {
		got, err := secrets.Get(name)
		if err != nil || got.Reveal() != want {
			t.Errorf("%s: %d bytes, %v", name, len(got.Reveal()), err)
		}
	}
	for name, want := range map[string]string{
		"empty":    "the file is empty",
		"long":     "longer than 80 bytes",
		"huge":     "longer than 80 bytes",
		"lines":    "byte 8 of the key is not printable ASCII",
		"binary":   "byte 8 of the key is not printable ASCII",
		"open":     "has mode 0644: others may read it; run chmod 0600",
		"group":    "has mode 0640",
		"exec":     "has mode 0700",
		"dir":      "is not a regular file",
		"pipe":     "is not a regular file",
		"out":      "escapes",
		"missing":  "no such file",
		"../plain": "the name must be that of a file",
		"/etc/x":   "the name must be that of a file",
		"":         "the name must be that of a file",
		".hidden":  "the name must be that of a file",
	} {
		got, err := secrets.Get(name)
		if err == nil || !strings.Contains(err.Error(), want) || !got.IsZero() {
			t.Errorf("%q: %v, not %s", name, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter") {
			t.Errorf("%q: the error tells the secret: %v", name, err)
		}
	}
	if _, err := OpenSecrets("").Get("plain"); err == nil || !strings.Contains(err.Error(), "--secrets-dir") {
		t.Error(err)
	}
}

func TestSecretHides(t *testing.T) {
	s := Secret{"hunter2"}
	holder := struct {
		Name string
		Key  Secret
		Ptr  *Secret
	}{"n", s, &s}
	var shown []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T %v"} {
		if verb == "%T %v" {
			shown = append(shown, fmt.Sprintf(verb, s, holder))
			continue
		}
		shown = append(shown, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, holder), fmt.Sprintf(verb, []Secret{s}), fmt.Sprintf(verb, map[string]Secret{"a": s}))
	}
	data, err := json.Marshal(map[string]any{"a": holder, "b": map[Secret]int{s: 1}})
	shown = append(shown, string(data), fmt.Sprint(s), fmt.Errorf("%w: %v", errors.New("x"), s).Error())
	var log strings.Builder
	hclog.New(&hclog.LoggerOptions{Output: &log}).Info("x", "key", s, "holder", holder)
	shown = append(shown, log.String())
	for _, text := range shown {
		if strings.Contains(text, "hunter") || strings.Contains(text, "68756e746572") {
			t.Errorf("shown: %s", text)
		}
	}
	if err != nil {
		t.Error(err)
	}
}
