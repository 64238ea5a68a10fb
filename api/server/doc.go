// Package server serves the HTTP API of a controller. Any replica serves it,
// leader or not: configuration and intent go through transactions of the
// store, and the leader acts on what it finds there.
//
// Reads answer from the mirror, so they go on while the store is down and then
// say how old they are. Writes read and write the store in one transaction
// that is serialised with every other write, so that two operators cannot both
// pass a guard that admits one of them.
package server
