package hostnet

import (
	"context"
	"errors"
)

// RequireModule checks that a kernel module is there, and tries to load it
// when it is not.
func RequireModule(ctx context.Context, name string) error { return errors.ErrUnsupported }

// RequireNetAdmin checks that the process may change the network of its host.
func RequireNetAdmin() error { return errors.ErrUnsupported }

// HostID names this boot of the kernel together with the network namespace of
// the process: what the kernel holds is lost exactly when the HostID changes.
func HostID() (string, error) { return "", errors.ErrUnsupported }
