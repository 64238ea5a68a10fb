package swarm

import "slices"

// Mark is a moment of a swarm from which things can be counted anew.
type Mark struct {
	// At is when.
	At    Seconds
	base  []base    // by session: what had been counted
	lulls []Seconds // by session: the longest silence since the mark before
	self  Self      // of the swarm since the mark before
}

type base struct {
	flaps, moves, resets, failures, ups int32
	announced, withdrawn                uint64
}

// MaxMarks bounds the marks of a swarm.
const MaxMarks = 256

// Mark begins a new period: a summary since the mark counts what happened
// after it. Beyond MaxMarks the oldest marks forget their silences.
func (s *Swarm) Mark() *Mark {
	m := &Mark{base: make([]base, len(s.sessions)), lulls: make([]Seconds, len(s.sessions))}
	for i, one := range s.sessions {
		one.mu.Lock()
		if one.link != nil {
			one.look(one.link) // what was acknowledged before is not of this period
		}
		r := &one.record
		m.base[i] = base{int32(r.Flaps), int32(r.Moves), int32(r.Resets), int32(r.Failures), int32(r.Ups), r.Announced, r.Withdrawn}
		m.lulls[i], one.lull = one.lull, 0
		one.mu.Unlock()
	}
	m.At = s.since()
	m.self = Self{HeldBack: s.pace.heldBack.take(), Lag: s.pace.lag.take()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks = appendBounded(s.marks, m, MaxMarks)
	return m
}

// Summary sums up the swarm since it began. Unlike SummarySince it takes what
// the sessions know: it costs less.
func (s *Swarm) Summary() Summary { return s.sum(nil, false, make([]Record, len(s.sessions))) }

// SummarySince sums up what happened after a mark. An outage belongs to the
// period in which it began; one that began before shows in Down alone.
func (s *Swarm) SummarySince(m *Mark) Summary {
	return s.sum(m, true, make([]Record, len(s.sessions)))
}

// sum needs room for a record of each session.
func (s *Swarm) sum(m *Mark, look bool, records []Record) Summary {
	now := s.since()
	for i, one := range s.sessions {
		records[i] = one.snapshot(now, m != nil, look)
	}
	from := Seconds(0)
	if m != nil {
		from = m.At
		s.subtract(records, m)
	}
	out := Summarize(records, from, now)
	out.Self = s.self(m)
	return out
}

// self is what the swarm says of itself since a mark.
func (s *Swarm) self(m *Mark) Self {
	out := Self{s.pace.heldBack.get(), s.pace.lag.get(), s.skipped.Load()}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, later := range s.marks {
		if m == nil || later.At > m.At {
			out.HeldBack = max(out.HeldBack, later.self.HeldBack)
			out.Lag = max(out.Lag, later.self.Lag)
		}
	}
	return out
}

// snapshot copies the record with the silence that lasts.
func (s *session) snapshot(now Seconds, sinceMark, look bool) Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if look && s.link != nil {
		s.look(s.link)
	}
	r := s.record
	r.Acked = s.acked
	r.History = nil
	r.Outages = append([]Outage(nil), r.Outages...)
	if sinceMark {
		r.Silence = s.lull
	}
	if r.State == Established && s.acked != 0 {
		r.Silence = max(r.Silence, now-s.acked)
	}
	return r
}

// subtract takes off what happened before the mark.
func (s *Swarm) subtract(records []Record, m *Mark) {
	s.mu.Lock()
	later := slices.Clone(s.marks)
	s.mu.Unlock()
	for i := range records {
		r, b := &records[i], m.base[i]
		r.Flaps -= int(b.flaps)
		r.Moves -= int(b.moves)
		r.Resets -= int(b.resets)
		r.Failures -= int(b.failures)
		r.Ups -= int(b.ups)
		r.Announced -= b.announced
		r.Withdrawn -= b.withdrawn
		kept := r.Outages[:0]
		for _, o := range r.Outages {
			if o.From >= m.At {
				kept = append(kept, o)
			}
		}
		r.Outages = kept
		if r.DownSince < m.At {
			r.DownSince = 0
		}
		for _, l := range later {
			if l.At > m.At {
				r.Silence = max(r.Silence, l.lulls[i])
			}
		}
	}
}
