// Package api holds the nouns of Peerage: what a site is (Pool, LoadBalancer,
// RealServer, Settings), what operators want right now (intents), what the
// nodes report (Live, observations, Applied), and what the controller decides
// (Plan). It holds their defaults, their validation and their strict YAML.
//
// The package is pure: no clock, no logging, no I/O but ParseFiles, and it
// imports nothing of the rest of the project, so that every other package may
// import it.
package api
