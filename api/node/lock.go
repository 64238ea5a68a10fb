package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/peerage/peerage/api"
	"golang.org/x/sys/unix"
)

// ErrLocked is what LockDir fails with while another process holds the lock.
var ErrLocked = errors.New("in use")

// Lock is a state directory held by one process. The kernel releases it when
// the process ends, however it ends.
type Lock struct{ file *os.File }

// LockDir takes the lock of a state directory for a program, making the
// directory if need be. While another process has it, the error is ErrLocked,
// names that process and carries api.ExitConflict.
func LockDir(dir, program string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	path := filepath.Join(dir, program+".lock")
	// The descriptor is close-on-exec: a child must not keep the lock.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, api.WithExit(api.ExitConflict, fmt.Errorf("state directory %s is %w by %s%s; stop it first", dir, ErrLocked, program, holder(f)))
	}
	// The file stays when the lock is released: removing it would let two
	// processes lock two files of the same name.
	if err := errors.Join(f.Truncate(0), writePID(f)); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return &Lock{f}, nil
}

func writePID(f *os.File) error {
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder reads who holds the lock, for the message only.
func holder(f *os.File) string {
	buf := make([]byte, 16)
	n, _ := f.ReadAt(buf, 0)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n]))); err == nil {
		return fmt.Sprintf(" (process %d)", pid)
	}
	return ""
}

// Close releases the lock.
func (l *Lock) Close() error { return l.file.Close() }
