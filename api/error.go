package api

import "strings"

// ErrorCode names what went wrong in an answer of the HTTP API. Programs act
// on these names: they are never reused.
type ErrorCode string

// The error codes.
const (
	// ErrorInvalid is a bad file, argument or header.
	ErrorInvalid ErrorCode = "invalid"
	// ErrorUnknownRisk is a name in acceptRisk that no guard has.
	ErrorUnknownRisk ErrorCode = "unknown-risk"
	// ErrorTooLarge is a body over the limit.
	ErrorTooLarge ErrorCode = "too-large"
	// ErrorNotFound is an object, or a path of the API, that does not exist.
	ErrorNotFound ErrorCode = "not-found"
	// ErrorConflict is an object that somebody else changed meanwhile.
	ErrorConflict ErrorCode = "conflict"
	// ErrorInUse is a deletion of an object that others name.
	ErrorInUse ErrorCode = "in-use"
	// ErrorRefused is a change that a guard refuses; see Error.Refusals.
	ErrorRefused ErrorCode = "refused"
	// ErrorStoreHeld is a write to a store that was restored from a backup.
	ErrorStoreHeld ErrorCode = "store-held"
	// ErrorUnavailable is a store that does not answer.
	ErrorUnavailable ErrorCode = "unavailable"
	// ErrorOverloaded is a limit of this controller, such as watch streams.
	ErrorOverloaded ErrorCode = "overloaded"
	// ErrorInternal is a fault of the server.
	ErrorInternal ErrorCode = "internal"
)

// ErrorCodes lists every error code, for documents and tests.
func ErrorCodes() []ErrorCode {
	return []ErrorCode{ErrorInvalid, ErrorUnknownRisk, ErrorTooLarge, ErrorNotFound, ErrorConflict, ErrorInUse,
		ErrorRefused, ErrorStoreHeld, ErrorUnavailable, ErrorOverloaded, ErrorInternal}
}

// Exit is the exit code of a program that failed with the error code.
func (c ErrorCode) Exit() ExitCode {
	switch c {
	case ErrorInvalid, ErrorUnknownRisk, ErrorTooLarge:
		return ExitUsage
	case ErrorNotFound:
		return ExitNotFound
	case ErrorConflict, ErrorInUse:
		return ExitConflict
	case ErrorRefused, ErrorStoreHeld:
		return ExitRefused
	case ErrorUnavailable, ErrorOverloaded:
		return ExitUnreachable
	}
	return ExitFailure
}

// Error is what the HTTP API answers instead of a result.
type Error struct {
	Code ErrorCode `json:"code"`
	// Message names the object and the cause.
	Message string `json:"message"`
	// Object is the key of the object that it is about, such as Pool/edge.
	Object string `json:"object,omitempty"`
	// Details are the fields that are wrong, each with its line.
	Details []*FieldError `json:"details,omitempty"`
	// Refusals are the guards that refuse the change.
	Refusals []Refusal `json:"refusals,omitempty"`
	// Plan is what the refused change would have done.
	Plan *Preview `json:"plan,omitempty"`
	// Hint is the way out.
	Hint string `json:"hint,omitempty"`
}

// Error implements error: the message and the way out.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// ErrorBody is the body of every answer that is not a success.
type ErrorBody struct {
	Error *Error `json:"error"`
}
