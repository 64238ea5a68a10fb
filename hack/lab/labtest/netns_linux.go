package labtest

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// inNetns names the test that a re-executed test binary is there for.
const inNetns = "PEERAGE_LAB_NETNS"

// netnsTimeout bounds one test in a namespace of its own.
const netnsTimeout = 5 * time.Minute

// Netns runs fn in a network namespace of its own, with lo up: the test binary
// is executed again for this one test, because a namespace belongs to threads
// and a Go test has no say in which threads run it. Needs Kernel.
func Netns(t *testing.T, fn func(t *testing.T)) {
	t.Helper()
	Kernel(t)
	if os.Getenv(inNetns) == t.Name() {
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			t.Fatalf("lo: %v: %s", err, out)
		}
		fn(t)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), netnsTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	c.Env = append(os.Environ(), inNetns+"="+t.Name())
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("in its own network namespace: %v\n%s", err, out)
	}
	if testing.Verbose() {
		t.Logf("%s", out)
	}
}
