// Package tcpmd5 is the kernel's side of signed sessions (RFC 2385): keys on a
// listening socket, each for a prefix of sources, and what of a set of sources
// the kernel cannot do.
package tcpmd5
