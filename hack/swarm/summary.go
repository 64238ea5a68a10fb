package swarm

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
)

// Summary is what a swarm went through, in numbers. It is stable JSON; every
// duration in it is a number of seconds.
type Summary struct {
	Sessions    int `json:"sessions"`
	Established int `json:"established"`
	Connecting  int `json:"connecting"`
	Down        int `json:"down"`
	// Flapped counts sessions that left Established at least once, Flaps how
	// often that happened in all.
	Flapped int `json:"flapped"`
	Flaps   int `json:"flaps"`
	// Moves counts arrivals at another real server than before.
	Moves int `json:"moves"`
	// Resets counts sessions ended and opened anew because somebody asked.
	Resets int `json:"resets,omitempty"`
	// Acked counts the established sessions whose peer has acknowledged bytes
	// since the beginning of the period.
	Acked int `json:"acked"`
	// Failures counts attempts that ended before Established.
	Failures int `json:"failures"`
	// Outage is over the outages that ended, plus those that last until now.
	Outage Quantiles `json:"outage"`
	// Silence is over the sessions: the longest time between two
	// acknowledgements by the peer.
	Silence   Quantiles `json:"silence"`
	Announced uint64    `json:"announced"`
	Withdrawn uint64    `json:"withdrawn"`
	// Causes are why sessions last left Established, Refusals why the attempts
	// of those that are not up last failed.
	Causes   []CauseCount `json:"causes,omitempty"`
	Refusals []CauseCount `json:"refusals,omitempty"`
	Servers  Distribution `json:"servers"`
	// Elapsed is since the swarm began.
	Elapsed Seconds `json:"elapsed"`
	Self    Self    `json:"self"`
}

// Self tells whether the swarm itself may have been the bottleneck.
type Self struct {
	// HeldBack is the longest time that a session which had been up waited for
	// its turn to connect again, because of the rate: an outage holds that
	// much of the swarm's own making.
	HeldBack Seconds `json:"heldBack"`
	// Lag is the most that a timer of a session was late: how long this process
	// was kept from running.
	Lag Seconds `json:"lag"`
	// ChurnSkipped counts turns of the churn that found a session down or
	// still sending.
	ChurnSkipped int64 `json:"churnSkipped"`
}

// Quantiles of durations, by the nearest rank; all 0 when there are none.
type Quantiles struct {
	Count int     `json:"count"`
	P50   Seconds `json:"p50"`
	P99   Seconds `json:"p99"`
	Max   Seconds `json:"max"`
}

// CauseCount is how many sessions last went down for one cause.
type CauseCount struct {
	Cause    string `json:"cause"`
	Sessions int    `json:"sessions"`
}

// Distribution is how the established sessions are spread over real servers,
// told apart by BGP identifier.
type Distribution struct {
	Servers []ServerCount `json:"servers,omitempty"`
	// MaxOverMean is the busiest server's share relative to an even one, and
	// CV the coefficient of variation.
	MaxOverMean float64 `json:"maxOverMean"`
	CV          float64 `json:"cv"`
	// ChanceMaxOverMean and ChanceCV are what a perfect hash would give: the
	// expectation for that many balls thrown into that many bins.
	ChanceMaxOverMean float64 `json:"chanceMaxOverMean"`
	ChanceCV          float64 `json:"chanceCV"`
}

// ServerCount is the sessions of one real server.
type ServerCount struct {
	Server   netip.Addr `json:"server"`
	Sessions int        `json:"sessions"`
}

// Summarize sums up records taken at the moment now of the swarm, of a period
// that began at from.
func Summarize(records []Record, from, now Seconds) Summary {
	out := Summary{Sessions: len(records), Elapsed: now}
	var outages, silences []Seconds
	servers, causes, refusals := map[netip.Addr]int{}, map[string]int{}, map[string]int{}
	for i := range records {
		r := &records[i]
		out.add(r)
		if r.State == Established {
			if r.Acked > from {
				out.Acked++
			}
			servers[r.Server]++
		} else if r.FailureCause != "" {
			refusals[r.FailureCause]++
		}
		if r.Flaps > 0 {
			causes[r.FlapCause]++
		}
		outages = append(outages, r.outages(now)...)
		silences = append(silences, r.Silence)
	}
	out.Outage, out.Silence = quantiles(outages), quantiles(silences)
	out.Causes, out.Refusals = countCauses(causes), countCauses(refusals)
	out.Servers = distribution(servers)
	return out
}

// add adds what is a plain sum.
func (s *Summary) add(r *Record) {
	switch r.State {
	case Established:
		s.Established++
	case Down:
		s.Down++
	case Connecting, OpenSent:
		s.Connecting++
	}
	if r.Flaps > 0 {
		s.Flapped++
	}
	s.Flaps += r.Flaps
	s.Moves += r.Moves
	s.Resets += r.Resets
	s.Failures += r.Failures
	s.Announced += r.Announced
	s.Withdrawn += r.Withdrawn
}

// outages lists how long each outage took, or takes by now.
func (r *Record) outages(now Seconds) (ds []Seconds) {
	for _, o := range r.Outages {
		ds = append(ds, o.Lasted)
	}
	if r.DownSince > 0 {
		ds = append(ds, now-r.DownSince)
	}
	return ds
}

func countCauses(counts map[string]int) (cs []CauseCount) {
	for cause, n := range counts {
		cs = append(cs, CauseCount{cause, n})
	}
	slices.SortFunc(cs, func(a, b CauseCount) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Cause, b.Cause))
	})
	return cs
}

func quantiles(ds []Seconds) Quantiles {
	if len(ds) == 0 {
		return Quantiles{}
	}
	slices.Sort(ds)
	rank := func(q float64) Seconds { return ds[int(math.Ceil(q*float64(len(ds))))-1] }
	return Quantiles{len(ds), rank(0.5), rank(0.99), ds[len(ds)-1]}
}

func distribution(counts map[netip.Addr]int) Distribution {
	var d Distribution
	total := 0
	for server, n := range counts {
		d.Servers = append(d.Servers, ServerCount{server, n})
		total += n
	}
	if total == 0 {
		return d
	}
	slices.SortFunc(d.Servers, func(a, b ServerCount) int { return a.Server.Compare(b.Server) })
	bins := float64(len(d.Servers))
	mean := float64(total) / bins
	most, square := 0, 0.0
	for _, s := range d.Servers {
		most = max(most, s.Sessions)
		square += (float64(s.Sessions) - mean) * (float64(s.Sessions) - mean)
	}
	d.MaxOverMean = float64(most) / mean
	d.CV = math.Sqrt(square/bins) / mean
	// A bin of a multinomial has the variance mean·(1-1/bins). Less their mean,
	// bins are like independent ones of the variance mean less theirs, so that
	// the largest lies as far out as that of independent ones.
	d.ChanceCV = math.Sqrt(mean*(1-1/bins)) / mean
	d.ChanceMaxOverMean = 1 + expectedMax(len(d.Servers))/math.Sqrt(mean)
	return d
}

// expectedMax is the expected largest of n standard normal variables (Blom's
// approximation, from the quantile at (n-0.375)/(n+0.25)).
func expectedMax(n int) float64 {
	if n < 2 {
		return 0
	}
	return math.Sqrt2 * math.Erfinv(2*(float64(n)-0.375)/(float64(n)+0.25)-1)
}
