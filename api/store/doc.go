// Package store keeps the state of a site in etcd, and is its only importer.
//
// Every prefix has one owner that writes it (see keys.go); everybody reads
// everything, through a Mirror: one consistent local copy. Its rule is that an
// error is not an empty answer. A lost connection, a compacted watch, a value
// that cannot be decoded or a store that was restored from a backup leave the
// last good state in place and are told beside it.
//
// Writes are small and fenced: a node writes its own keys, operators' changes
// are serialised by Update, and a plan is written by the elected leader in a
// transaction on its leader key.
//
// One member of a cluster may be down, cut off from the others, hang or be
// replaced: requests are made again at another one where that is safe, and
// leases are renewed at each in turn. Without a quorum leases do not run out,
// and nobody gives up a registration because of it.
//
// Every request has a deadline, every retry waits longer than the one before up
// to a bound, with jitter. What runs on has an owner that ends it: the client
// ends with Close, the renewal of a leader's lease with Resign or the lease.
// Watches wait for etcd until their context ends.
package store
