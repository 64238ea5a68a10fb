package swarm

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/realserver/bgp"
)

// notified is the end of a session that the peer told with a NOTIFICATION.
type notified struct{ bgp.Notification }

// Error implements error.
func (n notified) Error() string { return "received NOTIFICATION: " + n.String() }

// cause names the end of a session or of an attempt in the words of the field.
// It leaves out what differs from session to session, so that causes can be
// counted.
func cause(err error) string {
	var violation *bgp.Error
	var errno unix.Errno
	switch {
	case errors.As(err, &violation):
		return "sent NOTIFICATION: " + violation.Error()
	case errors.Is(err, io.EOF):
		return "FIN from the peer"
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return "RST from the peer"
	case errors.Is(err, unix.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, unix.ETIMEDOUT):
		return "timeout: segments not acknowledged"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "timeout: no answer to the SYN"
	case errors.As(err, &errno):
		return errno.Error()
	}
	return err.Error()
}
