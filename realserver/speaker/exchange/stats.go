package exchange

// Stats are the exchange's counters, each shard and worker at about the same
// moment.
type Stats struct {
	Peers, Groups int
	// AttributeSets and AttributeBytes are the interned sets and the memory
	// that they take.
	AttributeSets, AttributeBytes int64
	Shards                        []ShardStats
	Workers                       []WorkerStats
}

// ShardStats are one shard's counters.
type ShardStats struct {
	Prefixes, Routes int64
	// Bytes is the memory of tables and routes.
	Bytes int64
	// Applied counts announcements and withdrawals, Changed those that changed
	// a best route.
	Applied, Changed int64
	// Queued are batches waiting now.
	Queued int
}

// WorkerStats are one update worker's counters.
type WorkerStats struct {
	// Packed counts prefixes packed once for a whole update group, Messages
	// and Bytes what came out.
	Packed, Messages, Bytes int64
	// Lagging are peers that take their own pace now.
	Lagging int
}

// Stats returns the counters.
func (x *Exchange) Stats() Stats {
	var st Stats
	st.AttributeSets, st.AttributeBytes = x.sets.Stats()
	for _, s := range x.shards {
		s.rib.RLock()
		r := s.rib.Stats()
		s.rib.RUnlock()
		st.Shards = append(st.Shards, ShardStats{r.Prefixes, r.Routes, r.Bytes, r.Applied, r.Changed, len(s.in)})
	}
	st.Workers = make([]WorkerStats, len(x.workers))
	for i, w := range x.workers {
		st.Workers[i] = WorkerStats{Packed: w.packed.Load(), Messages: w.messages.Load(), Bytes: w.bytes.Load()}
	}
	x.mu.Lock()
	domains := make([]*domain, 0, len(x.domains))
	for _, d := range x.domains {
		domains = append(domains, d)
	}
	st.Peers = len(x.names)
	x.mu.Unlock()
	st.Groups = len(domains) - 1
	for _, d := range domains {
		d.mu.Lock()
		st.Workers[int(d.number)%len(x.workers)].Lagging += len(d.laggards)
		d.mu.Unlock()
	}
	return st
}
