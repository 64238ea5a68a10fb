package birdc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// The codes that end the answer to "configure".
const (
	codeReconfigured     = 3
	codeInProgress       = 4
	codeQueued           = 5
	codeShuttingDown     = 6
	codeDequeued         = 17
	progressPollInterval = 50 * time.Millisecond
)

// ErrInProgress is a new configuration that BIRD took, and that was not in
// force in full when the time was over: it still ends what is no longer
// configured.
var ErrInProgress = errors.New("reconfiguration is still in progress")

// Configure makes BIRD read its configuration file again, and waits until the
// new one is in force in full. An earlier reconfiguration that is under way is
// waited for. When ctx or the timeout ends before, the error is ErrInProgress.
// A refused configuration is an *Error with file, line and column; the old one
// stays in force.
func (c *Client) Configure(ctx context.Context) error { return c.configure(ctx, "configure") }

// ConfigureSoft is Configure without a reload of routes when only filters
// changed.
func (c *Client) ConfigureSoft(ctx context.Context) error { return c.configure(ctx, "configure soft") }

func (c *Client) configure(ctx context.Context, command string) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	for {
		lines, err := c.Do(ctx, command)
		if err != nil { // also when BIRD took it and did not say so in time
			return err
		}
		again, err := c.settle(ctx, command, lines)
		if err != nil || !again {
			return err
		}
	}
}

// settle waits for the end of a reconfiguration. Again: BIRD took a queued
// configuration out of its queue, and must be told once more.
func (c *Client) settle(ctx context.Context, command string, lines []Line) (again bool, err error) {
	var last Line
	if len(lines) > 0 {
		last = lines[len(lines)-1]
	}
	switch last.Code {
	case codeReconfigured:
		return false, nil
	case codeInProgress, codeQueued:
		return false, c.waitReady(ctx)
	case codeDequeued:
		return true, c.waitReady(ctx)
	case codeShuttingDown:
		return false, &Error{Command: command, Code: last.Code, Message: last.Text}
	}
	return false, fmt.Errorf("bird at %s: %q ended with %04d %q, which is not known", c.Socket, command, last.Code, last.Text)
}

func (c *Client) waitReady(ctx context.Context) error {
	tick := time.NewTicker(progressPollInterval)
	defer tick.Stop()
	for {
		s, err := c.Status(ctx)
		switch {
		case err == nil && s.Ready:
			return nil
		case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("bird at %s: %w: %w", c.Socket, ErrInProgress, context.DeadlineExceeded)
		case err != nil:
			return err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// maxOutput bounds what is kept of a BIRD binary's output.
const maxOutput = 4 << 10

// Check lets a BIRD binary parse a configuration file without running it
// ("bird -p -c file"). The error holds BIRD's message with file and line; it
// is an *Error when BIRD refuses the file.
func Check(ctx context.Context, binary, file string) error {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-p", "-c", file)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || ctx.Err() != nil {
		return fmt.Errorf("check %s with %s: %w", file, binary, err)
	}
	out = bytes.TrimSpace(out[:min(len(out), maxOutput)])
	return &Error{Command: binary + " -p", Code: exit.ExitCode(), Message: strings.TrimPrefix(string(out), "bird: ")}
}
