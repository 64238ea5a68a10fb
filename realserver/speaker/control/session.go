package control

import "github.com/peerage/peerage/api"

// What a speaker tells of its sessions are nouns of the API: operators read
// the same documents.
type (
	// Session is one session as it is now, or as it ended last.
	Session = api.Session
	// MessageCount counts messages of one direction.
	MessageCount = api.MessageCount
	// Route is one route that a session announced.
	Route = api.Route
)
