// Package client speaks the HTTP API of the controllers. It knows several of
// them: each serves reads and writes alike, so a request that one cannot
// answer goes to the next.
//
// Every error of the API is an *api.Error; a controller that cannot be reached
// is an *UnreachableError. Writes are safe to repeat, because every verb
// and apply say what is wanted and not what to do.
package client
