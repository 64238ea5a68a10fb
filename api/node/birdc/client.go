package birdc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

const (
	// DefaultTimeout bounds a command whose context has no earlier deadline.
	DefaultTimeout = 10 * time.Second
	// DefaultMaxReply bounds one answer: 5,000 sessions with all details are
	// about 8 MB.
	DefaultMaxReply = 64 << 20
)

// ErrTooLarge is an answer longer than Client.MaxReply.
var ErrTooLarge = errors.New("the answer is too large")

// Client asks one BIRD. Each command has a connection of its own: BIRD keeps
// nothing between commands, and it may be restarted between them. A Client may
// be used by several goroutines.
type Client struct {
	// Socket is the path of the control socket.
	Socket string
	// Timeout bounds each command, with all of its answer; DefaultTimeout when
	// zero. The context's deadline holds too.
	Timeout time.Duration
	// MaxReply bounds the bytes of one answer; DefaultMaxReply when zero.
	MaxReply int64
}

// Line is one line of an answer, with the code that it belongs to.
type Line struct {
	Code int
	Text string
}

// Error is BIRD's refusal of a command.
type Error struct {
	Command string
	Code    int
	// Message is BIRD's, such as "peerage.conf:3:1 syntax error".
	Message string
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("bird refuses %q: %s (code %04d)", e.Command, e.Message, e.Code)
}

// Do runs a command and returns its answer. A refusal is an *Error, and the
// lines before it are returned beside it.
func (c *Client) Do(ctx context.Context, command string) ([]Line, error) {
	var lines []Line
	err := c.Stream(ctx, command, func(l Line) error {
		lines = append(lines, l)
		return nil
	})
	return lines, err
}

// Stream runs a command and hands over its answer line by line as it arrives.
// It ends with fn's first error.
func (c *Client) Stream(ctx context.Context, command string, fn func(Line) error) error {
	if strings.ContainsAny(command, "\r\n\x00") {
		return fmt.Errorf("bird command %q: holds a line break", command)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	err := c.stream(ctx, command, fn)
	if err == nil {
		return nil
	}
	var timeout net.Error
	switch cause := context.Cause(ctx); {
	case cause != nil:
		err = fmt.Errorf("%w: %w", cause, err)
	case errors.As(err, &timeout) && timeout.Timeout(): // a moment before ctx noticed
		err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	return fmt.Errorf("bird at %s: %w", c.Socket, err)
}

func (c *Client) stream(ctx context.Context, command string, fn func(Line) error) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	// A context that is cancelled before its deadline ends the read at once.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	r := newReader(conn, c.maxReply())
	if err := r.each("the greeting", func(Line) error { return nil }); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(conn, command); err != nil {
		return err
	}
	return r.each(command, fn)
}

func (c *Client) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return DefaultTimeout
}

func (c *Client) maxReply() int64 {
	if c.MaxReply > 0 {
		return c.MaxReply
	}
	return DefaultMaxReply
}

const bufferSize = 64 << 10

func newReader(src io.Reader, limit int64) *reader {
	return &reader{src: bufio.NewReaderSize(src, bufferSize), left: limit}
}
