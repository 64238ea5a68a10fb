package node

import (
	"errors"
	"os"
)

// ErrLocked is what Lock fails with while another process holds the lock.
var ErrLocked = errors.New("another process holds the lock")

// Lock is a state directory held by one process. The kernel releases it when
// the process ends, however it ends.
type Lock struct{ file *os.File }

// LockDir takes the lock of a state directory for a program, or fails with
// ErrLocked, naming the holder's process id.
func LockDir(dir, program string) (*Lock, error) { return nil, errors.ErrUnsupported }

// Close releases the lock.
func (l *Lock) Close() error { return l.file.Close() }
