package labtest_test

import (
	"os"
	"testing"

	"github.com/peerage/peerage/hack/lab/labtest"
)

// The lab is a kernel with IPVS; when it is not, every other test there lies.
func TestKernelHasIPVS(t *testing.T) {
	labtest.Kernel(t)
	if _, err := os.Stat("/proc/net/ip_vs"); err != nil {
		t.Fatal(err)
	}
}
