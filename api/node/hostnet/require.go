package hostnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/peerage/peerage/api/node"
)

// modprobeTimeout bounds the loading of a module.
const modprobeTimeout = 20 * time.Second

// RequireModule checks that a kernel module is there, and tries to load it
// when it is not. A module that is built in counts as there.
func RequireModule(ctx context.Context, name string) error {
	return requireModule(ctx, "/sys/module", name, func(ctx context.Context) ([]byte, error) {
		return exec.CommandContext(ctx, "modprobe", "--", name).CombinedOutput()
	})
}

func requireModule(ctx context.Context, sys, name string, load func(context.Context) ([]byte, error)) error {
	// The name becomes a path and an argument.
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return fmt.Errorf("kernel module %q: not a module's name", name)
	}
	present := func() bool {
		_, err := os.Stat(sys + "/" + name)
		return err == nil
	}
	if present() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, modprobeTimeout)
	defer cancel()
	out, err := load(ctx)
	if err == nil && present() {
		return nil
	}
	if err == nil {
		err = errors.New("modprobe succeeded, yet the module is not there")
	}
	if detail := strings.TrimSpace(string(out)); detail != "" {
		err = fmt.Errorf("%w: %s", err, detail)
	}
	return fmt.Errorf("kernel module %s is not loaded and could not be: %w; run `modprobe %s` as root on the host and see that its kernel has it", name, err, name)
}

// HostID names this boot of the kernel together with the network namespace of
// the process: what the kernel's network holds is lost exactly when the HostID
// changes.
func HostID() (string, error) {
	boot, err := node.BootID()
	if err != nil {
		return "", err
	}
	ns, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return "", fmt.Errorf("network namespace: %w", err)
	}
	return boot + "/" + ns, nil
}
