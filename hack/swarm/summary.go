package swarm

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"
)

// Summary is what a swarm went through, in numbers. It is stable JSON.
type Summary struct {
	Sessions    int `json:"sessions"`
	Established int `json:"established"`
	Connecting  int `json:"connecting"`
	Down        int `json:"down"`
	// Flapped counts sessions that left Established at least once, Flaps how
	// often that happened in all.
	Flapped int `json:"flapped"`
	Flaps   int `json:"flaps"`
	// Failures counts attempts that did not reach Established.
	Failures int `json:"failures"`
	// Outage is over the outages that ended, plus those that last until now.
	Outage Quantiles `json:"outage"`
	// Silence is over the sessions: the longest time between two
	// acknowledgements by the peer.
	Silence   Quantiles     `json:"silence"`
	Announced uint64        `json:"announced"`
	Withdrawn uint64        `json:"withdrawn"`
	Causes    []CauseCount  `json:"causes,omitempty"`
	Servers   Distribution  `json:"servers"`
	Elapsed   time.Duration `json:"elapsed"`
}

// Quantiles of durations, by the nearest rank; all 0 when there are none.
type Quantiles struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50"`
	P99   time.Duration `json:"p99"`
	Max   time.Duration `json:"max"`
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

// Summary sums up the swarm as it stands.
func (s *Swarm) Summary() Summary { return Summarize(s.Records(), s.since()) }

// Summarize sums up records taken at the time now of the swarm.
func Summarize(records []Record, now time.Duration) Summary {
	out := Summary{Sessions: len(records), Elapsed: now}
	var outages, silences []time.Duration
	servers, causes := map[netip.Addr]int{}, map[string]int{}
	for _, r := range records {
		switch r.State {
		case Established:
			out.Established++
			servers[r.Server]++
		case Down:
			out.Down++
		default:
			out.Connecting++
		}
		if r.Flaps > 0 {
			out.Flapped++
			causes[r.LastCause]++
		}
		out.Flaps += r.Flaps
		out.Failures += r.Failures
		out.Announced += r.Announced
		out.Withdrawn += r.Withdrawn
		outages = append(outages, r.Outages...)
		if r.DownSince > 0 {
			outages = append(outages, now-r.DownSince)
		}
		silences = append(silences, r.Silence)
	}
	out.Outage, out.Silence = quantiles(outages), quantiles(silences)
	for cause, n := range causes {
		out.Causes = append(out.Causes, CauseCount{cause, n})
	}
	slices.SortFunc(out.Causes, func(a, b CauseCount) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Cause, b.Cause))
	})
	out.Servers = distribution(servers)
	return out
}

func quantiles(ds []time.Duration) Quantiles {
	if len(ds) == 0 {
		return Quantiles{}
	}
	slices.Sort(ds)
	rank := func(q float64) time.Duration { return ds[int(math.Ceil(q*float64(len(ds))))-1] }
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
	// A bin of a multinomial has the variance mean·(1-1/bins); the largest of
	// them lies near sqrt(2·ln bins) deviations above the mean.
	deviation := math.Sqrt(mean * (1 - 1/bins))
	d.ChanceCV = deviation / mean
	d.ChanceMaxOverMean = 1 + deviation*expectedMax(len(d.Servers))/mean
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
