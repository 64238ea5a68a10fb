// Package bgp is the wire codec of BGP-4: messages to bytes and back, without
// I/O, without state beyond what was negotiated, and without trust in the
// bytes. Whatever a peer sends ends in a value or in an *Error that carries
// the NOTIFICATION which the RFCs ask for; nothing panics.
//
// Decoding works on the caller's buffer: slices in the results point into it
// and are valid as long as it is.
package bgp
