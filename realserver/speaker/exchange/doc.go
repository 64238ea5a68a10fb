// Package exchange moves routes between sessions: what one peer announces goes
// through the shards of the tables to the peers that shall have it.
//
// The one idea: nobody waits for a slow reader. A shard marks prefixes as
// changed; a worker collects the marks, a few milliseconds' worth at a time
// with the latest state winning, and packs messages once for all peers that
// get the same bytes; a peer takes them at its own pace. Who falls behind by
// more than a bound gets marks of its own instead of bytes, and packs from the
// current state when it reads again.
package exchange
