package api

import (
	"errors"
	"fmt"
)

// ExitCode is the exit status of a program of the project. Scripts act on
// these numbers: they are never reused.
type ExitCode int

// The exit codes. ExitOK, ExitFailure and ExitUsage are those of every
// program; the others are of peeragectl.
const (
	ExitOK          ExitCode = 0
	ExitFailure     ExitCode = 1
	ExitUsage       ExitCode = 2
	ExitNotFound    ExitCode = 3
	ExitConflict    ExitCode = 4
	ExitRefused     ExitCode = 5
	ExitUnreachable ExitCode = 6
	ExitTimeout     ExitCode = 7
	ExitPartial     ExitCode = 8
	ExitChanges     ExitCode = 10
)

// ExitCodes lists every exit code in ascending order, for the documentation
// and for tests.
func ExitCodes() []ExitCode {
	return []ExitCode{ExitOK, ExitFailure, ExitUsage, ExitNotFound, ExitConflict,
		ExitRefused, ExitUnreachable, ExitTimeout, ExitPartial, ExitChanges}
}

// String says what the code means, in the words of the documentation.
func (c ExitCode) String() string {
	switch c {
	case ExitOK:
		return "done, or nothing to do"
	case ExitFailure:
		return "failed"
	case ExitUsage:
		return "wrong use: an unknown flag, or a bad file or argument"
	case ExitNotFound:
		return "the object does not exist"
	case ExitConflict:
		return "conflict: somebody else changed the object, or a daemon holds the lock"
	case ExitRefused:
		return "refused by a guard"
	case ExitUnreachable:
		return "the API or the store cannot be reached"
	case ExitTimeout:
		return "the time to wait is over"
	case ExitPartial:
		return "the answer is not complete: some real servers did not answer"
	case ExitChanges:
		return "changes are pending"
	}
	return fmt.Sprintf("exit code %d", int(c))
}

// WithExit gives an error the code that the program shall exit with. The
// error may be nil for codes that are no failure, such as ExitChanges; the
// program then prints nothing.
func WithExit(code ExitCode, err error) error { return &exitError{code, err} }

// ExitCodeOf is the code that a program exits with after err: the outermost
// given by WithExit, ExitOK for nil, ExitFailure otherwise.
func ExitCodeOf(err error) ExitCode {
	if err == nil {
		return ExitOK
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return ExitFailure
}

type exitError struct {
	code ExitCode
	err  error
}

// Error implements error.
func (e *exitError) Error() string {
	if e.err == nil {
		return e.code.String()
	}
	return e.err.Error()
}

// Unwrap gives errors.Is and errors.As the cause.
func (e *exitError) Unwrap() error { return e.err }

// Silent tells whether an error only carries an exit code, with nothing to
// print.
func Silent(err error) bool {
	e, ok := errors.AsType[*exitError](err)
	return ok && e.err == nil
}
