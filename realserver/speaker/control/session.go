package control

import "github.com/peerage/peerage/api"

// What a speaker tells of its sessions are nouns of the API: operators read
// the same documents.
type (
	Session      = api.Session
	MessageCount = api.MessageCount
	Route        = api.Route
)
