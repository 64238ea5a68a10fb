package api

import (
	"fmt"
	"strings"
)

// FieldError says what is wrong with one field of one object, where, and
// what to write instead.
type FieldError struct {
	// File and Line say where; they are zero for an object not from a file.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Object is the object's Key, empty while it is not known.
	Object string `json:"object,omitempty"`
	// Path is the key path, such as spec.neighbors[2].prefix.
	Path string `json:"path,omitempty"`
	// Problem says what is wrong.
	Problem string `json:"problem"`
	// Fix says what to write instead.
	Fix string `json:"fix,omitempty"`
	// Warning marks what is suspicious but accepted.
	Warning bool `json:"warning,omitempty"`
}

// Error renders "file:line: Kind/name: path: problem; fix", without the parts
// that are unknown.
func (e *FieldError) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	for _, part := range []string{e.Object, e.Path} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(e.Problem)
	if e.Fix != "" {
		b.WriteString("; " + e.Fix)
	}
	return b.String()
}

// FieldErrors lists every *FieldError in err, in order.
func FieldErrors(err error) []*FieldError {
	switch e := err.(type) { //nolint:errorlint // this is what takes the tree of errors apart
	case nil:
		return nil
	case *FieldError:
		return []*FieldError{e}
	case interface{ Unwrap() []error }:
		var all []*FieldError
		for _, part := range e.Unwrap() {
			all = append(all, FieldErrors(part)...)
		}
		return all
	case interface{ Unwrap() error }:
		return FieldErrors(e.Unwrap())
	}
	return nil
}
