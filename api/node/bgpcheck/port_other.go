//go:build !linux

package bgpcheck

import "syscall"

// lateSourcePort is for Linux, where the daemons run.
func lateSourcePort(_, _ string, _ syscall.RawConn) error { return nil }
