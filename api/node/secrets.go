package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/peerage/peerage/api"
)

// maxSecret is TCP_MD5SIG_MAXKEYLEN of linux/tcp.h: the kernel refuses longer
// keys of RFC 2385.
const maxSecret = 80

// Secrets is a directory of files, one secret each. Nothing of it enters the
// store, a log or an error.
type Secrets struct{ dir string }

// OpenSecrets names the directory. It is read only when a secret is asked for.
func OpenSecrets(dir string) *Secrets { return &Secrets{dir} }

// Get reads one secret: a file of mode 0600 or 0400 that holds 1..80 printable
// bytes; one newline at its end is not part of it.
func (s *Secrets) Get(name string) (Secret, error) {
	secret, err := s.read(name)
	if err != nil {
		return Secret{}, fmt.Errorf("secret %q: %w", name, err)
	}
	return secret, nil
}

func (s *Secrets) read(name string) (Secret, error) {
	if !api.IsFileName(name) {
		return Secret{}, errors.New("the name must be that of a file in the secrets directory: 1..64 of [A-Za-z0-9._-], not beginning with a dot")
	}
	if s.dir == "" {
		return Secret{}, errors.New("there is no secrets directory; give one with --secrets-dir")
	}
	// A root keeps a symbolic link from leading out of the directory.
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return Secret{}, err
	}
	defer root.Close()
	f, err := root.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return Secret{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Secret{}, err
	}
	path := filepath.Join(s.dir, name)
	if !info.Mode().IsRegular() {
		return Secret{}, fmt.Errorf("%s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&^0o600 != 0 {
		return Secret{}, fmt.Errorf("%s has mode %#o: others may read it; run chmod 0600 %s", path, mode, path)
	}
	return decodeSecret(f)
}

// decodeSecret reads a key without ever putting a byte of it into an error.
func decodeSecret(r io.Reader) (Secret, error) {
	key, err := io.ReadAll(io.LimitReader(r, maxSecret+2))
	if err != nil {
		return Secret{}, err
	}
	key = bytes.TrimSuffix(key, []byte("\n"))
	switch {
	case len(key) == 0:
		return Secret{}, errors.New("the file is empty; write the key into it")
	case len(key) > maxSecret:
		return Secret{}, fmt.Errorf("the key is longer than %d bytes, the most that the kernel takes for TCP-MD5", maxSecret)
	}
	for i, b := range key {
		if b < ' ' || b > '~' {
			return Secret{}, fmt.Errorf("byte %d of the key is not printable ASCII; configuration files cannot carry it", i+1)
		}
	}
	return Secret{string(key)}, nil
}

// hidden is what a secret shows of itself.
const hidden = "[secret]"

// Secret is a key that hides itself from fmt, JSON and logs.
type Secret struct{ value string }

// Reveal is the key itself, for the one place that needs it.
func (s Secret) Reveal() string { return s.value }

// IsZero tells whether there is no key.
func (s Secret) IsZero() bool { return s.value == "" }

// Format implements fmt.Formatter for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// String implements fmt.Stringer.
func (s Secret) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return hidden }

// MarshalJSON implements json.Marshaler.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(hidden) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
