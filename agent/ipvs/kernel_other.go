//go:build !(linux && amd64)

package ipvs

import (
	"errors"
	"fmt"
	"runtime"
)

// OpenKernel fails: IPVS needs Linux, and its library amd64.
func OpenKernel(KernelOptions) (Kernel, error) {
	return nil, fmt.Errorf("IPVS works on linux/amd64 only, and this is %s/%s: %w", runtime.GOOS, runtime.GOARCH, errors.ErrUnsupported)
}
