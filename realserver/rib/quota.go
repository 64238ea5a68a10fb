package rib

import "sync/atomic"

// Quota bounds what a session or a customer may hold, over all shards. One
// Quota may be shared by several sessions. It may be changed at any time.
type Quota struct {
	limit atomic.Int64
	drop  atomic.Bool
	used  atomic.Int64
	// refused counts what was not taken, and missing what of it was not asked
	// for again.
	refused, missing atomic.Int64
}

// NewQuota makes a quota. A limit of 0 is no limit. With drop, what exceeds
// the limit is not taken and counted in Refused; without, it is only counted
// in Used, and it is for the owner to act.
func NewQuota(limit int64, drop bool) *Quota {
	q := new(Quota)
	q.Set(limit, drop)
	return q
}

// Set changes the limit for what comes from now on.
func (q *Quota) Set(limit int64, drop bool) {
	q.limit.Store(limit)
	q.drop.Store(drop)
}

// Used is what is held now.
func (q *Quota) Used() int64 { return q.used.Load() }

// Refused is what was not taken so far.
func (q *Quota) Refused() int64 { return q.refused.Load() }

// Missing tells whether something was refused since Forgive: it does not come
// again by itself.
func (q *Quota) Missing() bool { return q.missing.Load() > 0 }

// Forgive is for who is about to ask for all again: nothing is missing then
// but what is refused from now on. Refused goes on counting.
func (q *Quota) Forgive() { q.missing.Store(0) }

// Exceeded tells whether more than the limit is held now, or something is
// missing.
func (q *Quota) Exceeded() bool {
	limit := q.limit.Load()
	return limit > 0 && (q.used.Load() > limit || q.Missing())
}

// take charges n and tells whether that may be.
func (q *Quota) take(n int64) bool {
	used := q.used.Add(n)
	limit := q.limit.Load()
	if limit <= 0 || used <= limit || n <= 0 || !q.drop.Load() {
		return true
	}
	q.used.Add(-n)
	q.refused.Add(1)
	q.missing.Add(1)
	return false
}
