package bgpcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
)

// Kind says in one word how a check failed; it is fit for a metric's label.
type Kind string

// The kinds of failure, in the order in which a check can meet them.
const (
	// KindLocal is no fault of the speaker: this host could not check.
	KindLocal Kind = "local"
	// KindUnreachable: the network says that the address is not there.
	KindUnreachable Kind = "unreachable"
	// KindRefused: the host is there, and nothing listens.
	KindRefused Kind = "refused"
	// KindTimeout: no answer to the connection attempt.
	KindTimeout Kind = "timeout"
	// KindSilent: connected, and no OPEN, or not all of it, in time.
	KindSilent Kind = "silent"
	// KindReset: connected, and reset instead of an OPEN.
	KindReset Kind = "reset"
	// KindClosed: connected, and closed instead of an OPEN.
	KindClosed Kind = "closed"
	// KindGarbage: what answers does not speak BGP.
	KindGarbage Kind = "garbage"
	// KindNotification: the speaker sent a NOTIFICATION instead of an OPEN.
	KindNotification Kind = "notification"
	// KindOpen: the OPEN breaks RFC 4271.
	KindOpen Kind = "open"
	// KindAS: the OPEN is good, and of another AS than expected.
	KindAS Kind = "as"
)

// Kinds lists every kind.
func Kinds() []Kind {
	return []Kind{KindLocal, KindUnreachable, KindRefused, KindTimeout, KindSilent, KindReset,
		KindClosed, KindGarbage, KindNotification, KindOpen, KindAS}
}

// Error is how a check failed. The text is short and does not vary from one
// check to the next, so that it can be compared and shown as it is.
type Error struct {
	Kind Kind
	Text string
	Err  error
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// Unwrap gives errors.Is the cause.
func (e *Error) Unwrap() error { return e.Err }

func fail(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// dialError says why there is no connection.
func dialError(t Target, err error) error {
	e := &Error{Err: err}
	is := func(errnos ...error) bool {
		for _, n := range errnos {
			if errors.Is(err, n) {
				return true
			}
		}
		return false
	}
	switch {
	case is(syscall.ECONNREFUSED):
		e.Kind, e.Text = KindRefused, fmt.Sprintf("%v refused the connection: nothing listens there, or the source %v is filtered", t.Addr, source(t.Source))
	case is(syscall.ECONNRESET):
		e.Kind, e.Text = KindReset, fmt.Sprintf("%v reset the connection while it was set up", t.Addr)
	case is(syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN):
		e.Kind, e.Text = KindUnreachable, fmt.Sprintf("%v cannot be reached from %v: no route, or no neighbour answers", t.Addr, source(t.Source))
	case is(syscall.EADDRNOTAVAIL):
		e.Kind, e.Text = KindLocal, fmt.Sprintf("the source address %v is not on this host, or has no free port", source(t.Source))
	case is(syscall.ETIMEDOUT, context.DeadlineExceeded, os.ErrDeadlineExceeded):
		e.Kind, e.Text = KindTimeout, fmt.Sprintf("%v does not answer the connection attempt", t.Addr)
	default:
		e.Kind, e.Text = KindLocal, fmt.Sprintf("cannot connect to %v: %v", t.Addr, cause(err))
	}
	return e
}

// cause strips the addresses that package net repeats; ports in them would
// make every text differ.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

func source(a netip.Addr) string {
	if a.IsValid() {
		return a.String()
	}
	return "any address"
}

// readError says why the next bytes of the OPEN did not come; have is what
// came of it.
func readError(have int, err error) error {
	e := &Error{Err: err}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.Kind, e.Text = KindSilent, "connected, but no OPEN came: the speaker does not know the source, or hangs"
		if have > 0 {
			e.Text = "connected, but the OPEN did not come to its end in time"
		}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Kind, e.Text = KindClosed, "connected, but the speaker closed without an OPEN: it does not know the source, or is shut down"
		if have > 0 {
			e.Text = "connected, but the speaker closed within its OPEN"
		}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		e.Kind, e.Text = KindReset, "connected, but the speaker reset the connection instead of an OPEN"
	default:
		e.Kind, e.Text = KindLocal, fmt.Sprintf("connected, but reading failed: %v", cause(err))
	}
	return e
}

// printable bounds and quotes what a stranger sent.
func printable(b []byte) string {
	const most = 24
	if len(b) > most {
		return fmt.Sprintf("%q…", b[:most])
	}
	return fmt.Sprintf("%q", b)
}

// oneLine makes a stranger's text fit for a log.
func oneLine(s string) string {
	return strings.Trim(fmt.Sprintf("%q", strings.ToValidUTF8(s, "?")), `"`)
}
