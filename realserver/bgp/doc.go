// Package bgp is the wire codec of BGP-4: messages to bytes and back, without
// I/O, without state beyond what was negotiated, and without trust in the
// bytes. Whatever a peer sends ends in a value or in an *Error that carries
// the NOTIFICATION which the RFCs ask for; nothing panics.
//
// Decoding works on the caller's buffer: slices in the results point into it
// and are valid as long as it is.
//
// An UPDATE can be read in two ways. DecodeUpdate only splits it, for those who
// count. A Decoder judges it as RFC 7606 demands, and makes one canonical set
// of however a router writes its attributes; AppendReflected, AppendTwoOctet
// and Packer go from there back to messages. What families, attributes and
// capabilities there are is in three tables: families, attributes and
// capabilities.
package bgp
