// Package node is what every daemon of the project shares: start and stop,
// flags and their file, logging, TLS, secrets, readiness, the ops endpoint,
// and the few file operations that must survive a power cut.
package node
