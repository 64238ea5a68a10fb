// Package rib keeps routes: prefix tables cut into shards by address, sets of
// path attributes kept once, the choice of the best route, and lookups.
//
// The one idea: what there are millions of has no pointers and is never
// allocated one by one. A route is a session's number and the number of its
// attribute set, six bytes in a chunk that many prefixes share, so that the
// garbage collector has nothing to walk and memory given back by one prefix
// serves the next one.
//
// The package does no I/O and starts no goroutines. A Shard has one writer;
// everything else here may be used by many at once.
package rib
