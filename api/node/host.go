package node

import (
	"fmt"
	"os"
	"strings"
)

// BootID identifies the running boot of the kernel: what was written into the
// kernel before belongs to another one.
func BootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("boot id: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}
