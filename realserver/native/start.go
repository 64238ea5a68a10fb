package native

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	startTimeout = 15 * time.Second
	startPoll    = 20 * time.Millisecond
	// logTail bounds what an error quotes of the speaker's log.
	logTail = 1024
)

// start runs a speaker and waits until it answers.
func (d *Driver) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	command := d.startDetached
	if d.opts.Unit != "" {
		command = d.startUnit
	}
	if err := command(ctx); err != nil {
		return fmt.Errorf("start peerage-speaker: %w", err)
	}
	if err := d.awaitStart(ctx); err != nil {
		return err
	}
	d.log.Info("speaker started", "socket", d.opts.Socket)
	return nil
}

func (d *Driver) startUnit(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "systemctl", "start", d.opts.Unit)
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, strings.TrimSpace(string(out[:min(len(out), logTail)])))
	}
	return nil
}

// startDetached makes the speaker a child of nobody: setsid(1) forks, gives
// the child a session of its own and ends. Under systemd the speaker would
// still end with the agent's unit unless that has KillMode=process; a unit of
// its own is better.
func (d *Driver) startDetached(ctx context.Context) error {
	binary, err := exec.LookPath(d.opts.Binary)
	if err != nil {
		return err
	}
	for _, dir := range []string{d.opts.StateDir, filepath.Dir(d.opts.Socket), filepath.Dir(d.logFile())} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(d.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, "setsid", "--fork", binary,
		"--socket", d.opts.Socket, "--state-dir", d.opts.StateDir, "--secrets-dir", d.opts.SecretsDir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("setsid --fork %s: %w", binary, err)
	}
	return nil
}

func (d *Driver) logFile() string {
	if d.opts.Log != "" {
		return d.opts.Log
	}
	return filepath.Join(d.opts.StateDir, "speaker.log")
}

func (d *Driver) awaitStart(ctx context.Context) error {
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for {
		_, err := d.client.Status(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("peerage-speaker was started and does not answer at %s: %w; the end of its log: %s", d.opts.Socket, err, d.tail())
		case <-tick.C:
		}
	}
}

// tail is the end of the speaker's log.
func (d *Driver) tail() string {
	f, err := os.Open(d.logFile())
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > logTail {
		_, _ = f.Seek(-logTail, io.SeekEnd)
	}
	text, err := io.ReadAll(io.LimitReader(f, logTail))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}
