package hostnet

import (
	"context"
	"errors"
)

// Sysctls sets kernel parameters and remembers what they were.
//
// A key is written as sysctl(8) takes it: "net.ipv4.vs.sloppy_tcp", or with
// slashes where a part contains a dot: "net/ipv4/conf/eth0.10/arp_ignore".
type Sysctls struct {
	// Dir keeps the record of the original values. It must exist.
	Dir string
	// Root is /proc/sys when empty; tests set a directory of their own.
	Root string
}

// Set makes the parameters have the values. Before the first change of a
// parameter its original value goes on disk. Drifted are the keys, sorted,
// that an earlier Set had given the same value and somebody changed since.
func (s *Sysctls) Set(ctx context.Context, want map[string]string) (drifted []string, err error) {
	return nil, errors.ErrUnsupported
}

// Restore puts back the original value of each parameter that still has the
// value we gave it, and forgets the record.
func (s *Sysctls) Restore(ctx context.Context) error { return errors.ErrUnsupported }
