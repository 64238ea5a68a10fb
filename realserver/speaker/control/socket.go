package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// probeTimeout bounds the question whether somebody serves a socket already.
const probeTimeout = time.Second

// Listen opens the socket: mode 0600, so that only the owner may ask. A file
// that an earlier process left is replaced; one that answers is an error.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := vacant(ctx, path); err != nil {
		return nil, err
	}
	// It gets its name when its mode is right: nobody can connect before.
	temporary := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := remove(temporary); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", temporary)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(temporary, 0o600), os.Rename(temporary, path)); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), l.Close(), remove(temporary))
	}
	return &listener{l, path}, nil
}

// vacant fails when a process answers at the path.
func vacant(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil // nobody, or a file that rename replaces
	}
	return errors.Join(fmt.Errorf("control socket %s: another process serves it; stop it first, or choose another with --socket", path), conn.Close())
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// listener takes its file with it.
type listener struct {
	net.Listener
	path string
}

// Close implements net.Listener.
func (l *listener) Close() error { return errors.Join(l.Listener.Close(), remove(l.path)) }
