package bird

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/node/birdc"
)

const (
	startTimeout = 15 * time.Second
	startPoll    = 20 * time.Millisecond
)

var errNotRunning = errors.New("BIRD does not run")

// binaryPath finds a program that is not in every PATH.
func binaryPath(name string) string {
	if _, err := exec.LookPath(name); err != nil && !strings.Contains(name, "/") {
		if path := filepath.Join("/usr/sbin", name); isFile(path) {
			return path
		}
	}
	return name
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// running tells which configuration BIRD runs. The error is errNotRunning
// when there is no BIRD at the socket.
func (d *Driver) running(ctx context.Context) (string, error) {
	revision, err := d.client.Eval(ctx, revisionSymbol)
	if err == nil {
		return revision, nil
	}
	if _, refused := errors.AsType[*birdc.Error](err); refused {
		return "", fmt.Errorf("the BIRD at %s runs a configuration that is not ours: give peerage-realserver a BIRD of its own with --bird-socket and --bird-config, or stop that one", d.opts.Socket)
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
		return "", err
	}
	if pid := d.process(); pid != 0 {
		return "", fmt.Errorf("BIRD runs as process %d and does not answer at %s: %w", pid, d.opts.Socket, err)
	}
	return "", errNotRunning
}

// process is the id of the BIRD of the PID file, or 0. A second BIRD could
// not listen, and must not be started.
func (d *Driver) process() int {
	raw, err := os.ReadFile(d.opts.PID)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || pid <= 0 {
		return 0
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || strings.TrimSpace(string(comm)) != filepath.Base(d.opts.Binary) {
		return 0
	}
	return pid
}

// start runs BIRD with a configuration.
func (d *Driver) start(ctx context.Context, r *rendered) error {
	if err := d.install(ctx, r); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	cmd := d.startCommand(ctx)
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("start BIRD with %s: %w: %s", cmd, err, strings.TrimSpace(string(out[:min(len(out), 1024)])))
	}
	if err := d.awaitStart(ctx); err != nil {
		return err
	}
	d.log.Info("BIRD started", "config", d.opts.Config, "neighbors", len(r.groups))
	return nil
}

// startCommand makes BIRD a child of nobody: it forks, leaves its session and
// lets its parent go. Under systemd it would still end with the agent's unit
// unless that has KillMode=process; a unit of its own is better.
func (d *Driver) startCommand(ctx context.Context) *exec.Cmd {
	if d.opts.Unit != "" {
		return exec.CommandContext(ctx, "systemctl", "start", d.opts.Unit)
	}
	args := []string{"-c", d.opts.Config, "-s", d.opts.Socket}
	if d.opts.PID != "" {
		args = append(args, "-P", d.opts.PID)
	}
	return exec.CommandContext(ctx, d.opts.Binary, args...)
}

func (d *Driver) awaitStart(ctx context.Context) error {
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for {
		s, err := d.client.Status(ctx)
		if err == nil && s.Ready {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("BIRD was started and does not answer; see its log: %w", err)
		case <-tick.C:
		}
	}
}

// install puts a configuration in place that BIRD was seen to understand.
func (d *Driver) install(ctx context.Context, r *rendered) error {
	for _, file := range []string{d.opts.Config, d.opts.Socket, d.opts.PID} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("bird: %w", err)
		}
	}
	candidate := d.opts.Config + ".new"
	if err := node.WriteFileAtomic(candidate, r.text, 0o600); err != nil {
		return err
	}
	if err := birdc.Check(ctx, d.opts.Binary, candidate); err != nil {
		return errors.Join(err, os.Remove(candidate))
	}
	if err := os.Rename(candidate, d.opts.Config); err != nil {
		return fmt.Errorf("bird: %w", err)
	}
	return nil
}

// repairFile puts the file back that BIRD has read: its next start needs it.
func (d *Driver) repairFile(r *rendered) error {
	have, err := os.ReadFile(d.opts.Config)
	if err == nil && bytes.Equal(have, r.text) {
		return nil
	}
	d.log.Info("configuration file repaired", "file", d.opts.Config)
	return node.WriteFileAtomic(d.opts.Config, r.text, 0o600)
}

// change makes a running BIRD take a configuration.
func (d *Driver) change(ctx context.Context, r *rendered, additive bool) (bool, error) {
	now, err := d.names(ctx)
	if err != nil {
		return false, err
	}
	for name := range now {
		parent, _ := parentName(name)
		if g := r.groups[parent]; g != nil && r.skipped[parent] != nil {
			return false, fmt.Errorf("BIRD keeps its configuration: the new one would end the sessions of %s", g)
		} else if g == nil && additive && strings.HasPrefix(parent, customerPrefix) {
			return false, fmt.Errorf("BIRD keeps its configuration: the new one would end the sessions of protocol %s, and the store is not read yet or behind", parent)
		}
	}
	old, err := os.ReadFile(d.opts.Config)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("bird: %w", err)
	}
	if err := d.install(ctx, r); err != nil {
		return false, err
	}
	d.watch(now)
	if err := d.configure(ctx); err != nil {
		if old == nil {
			return false, err
		}
		return false, errors.Join(err, node.WriteFileAtomic(d.opts.Config, old, 0o600))
	}
	d.log.Info("BIRD took a new configuration", "revision", r.revision, "neighbors", len(r.groups))
	return true, nil
}

// configure tells BIRD to read its file. One that is not through with ending
// what was removed has taken it all the same.
func (d *Driver) configure(ctx context.Context) error {
	err := d.client.Configure(ctx)
	d.settled = err == nil
	if errors.Is(err, birdc.ErrInProgress) {
		d.log.Warn("BIRD has not ended yet what is no longer configured")
		return nil
	}
	return err
}
