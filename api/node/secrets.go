package node

import "errors"

// Secrets is a directory of files, one secret each. Nothing of it enters the
// store, a log or an error.
type Secrets struct{ dir string }

// OpenSecrets names the directory. It is read only when a secret is asked for.
func OpenSecrets(dir string) *Secrets { return &Secrets{dir} }

// Get reads one secret: a file of mode 0600 or 0400 that holds 1..80 printable
// bytes (RFC 2385 keys end there on Linux); one newline at its end is not part
// of it.
func (s *Secrets) Get(name string) (Secret, error) { return Secret{}, errors.ErrUnsupported }

// Secret is a key that hides itself from fmt, JSON and logs.
type Secret struct{ value string }

// Reveal is the key itself, for the one place that needs it.
func (s Secret) Reveal() string { return s.value }
