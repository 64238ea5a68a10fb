package api

import "errors"

// Parse reads the configuration objects of a YAML (or JSON) text with any
// number of documents. Each has its defaults and is valid in itself; what
// concerns several is ValidateSite's. The error joins one *FieldError for
// everything that is wrong; name is the file name in them.
func Parse(name string, data []byte) ([]Object, error) {
	return nil, errors.ErrUnsupported
}

// ParseFiles reads files, and directories recursively (*.yaml and *.yml in
// lexical order), in the order of paths; "-" is no file here. Names must be
// unique within their kind over all of them.
func ParseFiles(paths []string) ([]Object, error) {
	return nil, errors.ErrUnsupported
}

// ValidateSite reports every violation between objects that are each valid:
// overlapping VIPs, names of members that do not exist, addresses of two
// owners. The order of messages does not depend on the order of objects. What
// is suspicious only (a *FieldError with Warning set) is SiteWarnings'.
func ValidateSite(objects []Object) error { return nil }

// SiteWarnings lists what is suspicious about a valid site.
func SiteWarnings(objects []Object) []*FieldError { return nil }
