// Package labtest marks tests that need a real kernel with IPVS. They run in
// the lab (PEERAGE_LAB=1), where a missing prerequisite is a failure, and are
// skipped elsewhere.
package labtest

import (
	"os"
	"os/exec"
	"testing"
)

// Kernel skips the test outside the lab. In the lab it loads ip_vs, and fails
// the test when that cannot be done: there, a skip would hide a defect.
func Kernel(t testing.TB) {
	t.Helper()
	if os.Getenv("PEERAGE_LAB") != "1" {
		t.Skip("needs a kernel with ip_vs: run it in the lab with `make lab-test`")
	}
	if out, err := exec.Command("modprobe", "-a", "ip_vs", "ip_vs_mh", "dummy").CombinedOutput(); err != nil {
		t.Fatalf("modprobe ip_vs: %v: %s", err, out)
	}
}
