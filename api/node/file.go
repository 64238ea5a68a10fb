package node

import (
	"errors"
	"io/fs"
)

// WriteFileAtomic replaces a file: after a crash at any moment it holds the
// old or the new content in full. The directory must exist.
func WriteFileAtomic(path string, data []byte, mode fs.FileMode) error { return errors.ErrUnsupported }
