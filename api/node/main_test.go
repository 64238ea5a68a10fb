package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
)

// TestMain lets the test binary be the program under test.
func TestMain(m *testing.M) {
	if mode := os.Getenv("PEERAGE_TEST_MAIN"); mode != "" {
		Main("peerage-test", func(ctx context.Context, _ []string, _ io.Reader, stdout, _ io.Writer) error {
			return program(ctx, mode, stdout)
		})
	}
	os.Exit(m.Run())
}

func program(ctx context.Context, mode string, stdout io.Writer) error {
	switch mode {
	case "fail":
		return errors.New("the reason")
	case "usage":
		return api.WithExit(api.ExitUsage, errors.New("bad flag"))
	case "changes":
		return api.WithExit(api.ExitChanges, nil)
	case "wait", "hang":
		fmt.Fprintln(stdout, "ready")
		<-ctx.Done()
		if mode == "hang" {
			fmt.Fprintln(stdout, "hanging")
			select {} // until the second signal
		}
		fmt.Fprintln(stdout, "stopped")
	}
	return nil
}

func TestMainExit(t *testing.T) {
	for mode, want := range map[string]struct {
		code   int
		stderr string
	}{
		"ok":      {0, ""},
		"fail":    {1, "peerage-test: the reason\n"},
		"usage":   {2, "peerage-test: bad flag\n"},
		"changes": {10, ""},
	} {
		cmd := child(t, mode)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		_ = cmd.Run()
		if cmd.ProcessState.ExitCode() != want.code || stderr.String() != want.stderr {
			t.Errorf("%s: exit %d, %q", mode, cmd.ProcessState.ExitCode(), stderr.String())
		}
	}
}

func child(t *testing.T, mode string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), "PEERAGE_TEST_MAIN="+mode)
	return cmd
}

// The first signal stops the program, the second kills it.
func TestMainSignals(t *testing.T) {
	for _, mode := range []string{"wait", "hang"} {
		cmd := child(t, mode)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		expect(t, out, "ready\n")
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if mode == "wait" {
			expect(t, out, "stopped\n")
			if err := cmd.Wait(); err != nil {
				t.Errorf("after one signal: %v", err)
			}
			continue
		}
		expect(t, out, "hanging\n")
		// The handling is put back a moment after the context ended.
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && cmd.Process.Signal(syscall.SIGTERM) == nil; {
			time.Sleep(5 * time.Millisecond)
			var status syscall.WaitStatus
			if pid, _ := syscall.Wait4(cmd.Process.Pid, &status, syscall.WNOHANG, nil); pid != 0 {
				if !status.Signaled() {
					t.Errorf("after two signals: %v", status)
				}
				break
			}
		}
	}
}

func expect(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("%q, %v, not %q", got, err, want)
	}
}

func TestGroup(t *testing.T) {
	t.Run("the first failure ends all", func(t *testing.T) {
		g := NewGroup(t.Context())
		boom := errors.New("boom")
		g.Go("waits", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		g.Go("cleans up badly", func(ctx context.Context) error { <-ctx.Done(); return errors.New("later") })
		g.Go("done", func(context.Context) error { return nil })
		g.Go("fails", func(context.Context) error { return boom })
		if err := g.Wait(); !errors.Is(err, boom) || err.Error() != "fails: boom" {
			t.Error(err)
		}
		if cause := context.Cause(g.Context()); !errors.Is(cause, boom) {
			t.Error(cause)
		}
	})
	t.Run("the parent's end is no failure", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g := NewGroup(ctx)
		g.Go("waits", func(ctx context.Context) error { <-ctx.Done(); return fmt.Errorf("x: %w", ctx.Err()) })
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("stop", func(t *testing.T) {
		g := NewGroup(t.Context())
		g.Go("waits", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		g.Stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}
