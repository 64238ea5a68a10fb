// Package speaker compares BGP speakers: each in turn gets the same bytes from
// the same generator, on loopback, and its processor time, memory and the time
// until the last receiver has the last prefix are measured.
//
// Every receiver checks every prefix: a speaker that has not chosen the best
// path for each of them at the end of a work has failed it.
package speaker
