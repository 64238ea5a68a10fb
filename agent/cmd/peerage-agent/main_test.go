package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
)

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("name: lb-1\nbird-sock: /x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"--brid-socket=/x"}, "unknown flag: --brid-socket"},
		{"argument", []string{"now"}, `argument "now" is not expected`},
		{"no store", []string{"--name=lb-1"}, "there is no store: name the cluster with --etcd"},
		{"relative path", []string{"--name=lb-1", "--etcd=http://127.0.0.1:2379", "--bird-include=peerage.conf"}, `--bird-include: "peerage.conf" must be an absolute path`},
		{"two ways", []string{"--name=lb-1", "--check", "--withdraw"}, "exclude each other"},
		{"too often", []string{"--name=lb-1", "--etcd=http://127.0.0.1:2379", "--full-interval=1ms"}, "--full-interval: 1ms is out of range"},
		{"bad file", []string{"--config=" + bad}, "bird-sock"},
		{"bad name", []string{"--name=LB/1", "--etcd=http://127.0.0.1:2379"}, "--name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errOut strings.Builder
			err := run(t.Context(), append(tt.args, "--state-dir="+filepath.Join(dir, "state")), strings.NewReader(""), &out, &errOut)
			if err == nil || !strings.Contains(err.Error(), tt.want) || api.ExitCodeOf(err) != api.ExitUsage {
				t.Errorf("error %v (exit code %d), want %s", err, api.ExitCodeOf(err), tt.want)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "state")); err == nil {
		t.Error("wrong use made a state directory")
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, flag := range []string{"--help", "--version"} {
		var out, errOut strings.Builder
		if err := run(t.Context(), []string{flag}, strings.NewReader(""), &out, &errOut); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(out.String(), program) || errOut.Len() > 0 {
			t.Errorf("%s prints %s%s", flag, out.String(), errOut.String())
		}
	}
}

// TestCheck tells of everything that is missing, and changes nothing.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bird.conf"), []byte("router id 192.0.2.1;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	include := filepath.Join(dir, "peerage.conf")
	var out, errOut strings.Builder
	err := run(t.Context(), []string{
		"--check", "--name=lb-1", "--state-dir=" + filepath.Join(dir, "state"),
		"--bird-socket=" + filepath.Join(dir, "ctl"), "--bird-include=" + include, "--bird-binary=no-such-bird",
	}, strings.NewReader(""), &out, &errOut)
	if api.ExitCodeOf(err) != api.ExitFailure {
		t.Errorf("error %v", err)
	}
	for _, want := range []string{
		"missing  BIRD's program: ", "install bird2, or name the program with --bird-binary",
		"does not include " + include + "; add the line `include \"" + include + "\";`",
		"missing  BIRD's control socket: ", "start BIRD, or name the socket with --bird-socket",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "state")); err == nil {
		t.Error("the check made a state directory")
	}
}

// TestWithdrawRefusesWhileItRuns: the daemon would undo it at once.
func TestWithdrawRefusesWhileItRuns(t *testing.T) {
	dir := t.TempDir()
	lock, err := node.LockDir(dir, program)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	var out, errOut strings.Builder
	err = run(t.Context(), []string{"--withdraw", "--name=lb-1", "--state-dir=" + dir}, strings.NewReader(""), &out, &errOut)
	if api.ExitCodeOf(err) != api.ExitConflict || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("error %v (exit code %d)", err, api.ExitCodeOf(err))
	}
}
