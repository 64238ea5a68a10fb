package speaker

import (
	"math"
	"time"

	"github.com/peerage/peerage/hack/bench/process"
	"github.com/peerage/peerage/hack/bench/result"
)

// Measures are what was measured of one speaker at one work. What a work does
// not measure is 0.
type Measures struct {
	// Wall is from the first prefix in to the last prefix out at the last
	// receiver; CPU, User and System are the speaker's processor time until
	// then, with that of its children.
	Wall   float64 `json:"wall_s,omitempty"`
	CPU    float64 `json:"cpu_s,omitempty"`
	User   float64 `json:"user_s,omitempty"`
	System float64 `json:"system_s,omitempty"`
	// GeneratorCPU is what feeds and receivers used besides.
	GeneratorCPU float64 `json:"generator_cpu_s,omitempty"`
	// Others is how many processors everything else on the machine kept busy
	// meanwhile: far from 0, the seconds above are too many.
	Others float64 `json:"others_cpus,omitempty"`
	// PeakMiB is the most memory that was ever resident, ResidentMiB that at
	// the end.
	PeakMiB     float64 `json:"peak_mib,omitempty"`
	ResidentMiB float64 `json:"resident_mib,omitempty"`
	// Announced are the prefixes that all receivers got, PerUpdate how many
	// in a message.
	Announced float64 `json:"announced,omitempty"`
	PerUpdate float64 `json:"prefixes_per_update,omitempty"`
	// DownWall is from the end of the best feed's session until the last
	// receiver has the second best paths, UpWall from its first prefix until
	// all have its paths again.
	DownWall float64 `json:"down_wall_s,omitempty"`
	DownCPU  float64 `json:"down_cpu_s,omitempty"`
	UpWall   float64 `json:"up_wall_s,omitempty"`
	UpCPU    float64 `json:"up_cpu_s,omitempty"`
	// Up is until all sessions were up.
	Up            float64 `json:"up_s,omitempty"`
	KiBPerSession float64 `json:"kib_per_session,omitempty"`
	IdlePercent   float64 `json:"idle_cpu_percent,omitempty"`
	// BytesPerRoute is resident memory, all of it, by route held.
	BytesPerRoute float64 `json:"bytes_per_route,omitempty"`
	// LookupSession is how long it takes to find one session's longest match in
	// the table, LookupCustomer those of ten sessions, LookupAll those of all.
	LookupSession  float64 `json:"lookup_session_ns,omitempty"`
	LookupCustomer float64 `json:"lookup_customer_ns,omitempty"`
	LookupAll      float64 `json:"lookup_all_ns,omitempty"`
	// Asked is how long a program waits that asks the speaker for one session's
	// longest match.
	Asked float64 `json:"asked_s,omitempty"`
}

func (m *Measures) fields() []*float64 {
	return []*float64{&m.Wall, &m.CPU, &m.User, &m.System, &m.GeneratorCPU, &m.Others, &m.PeakMiB, &m.ResidentMiB, &m.Announced, &m.PerUpdate,
		&m.DownWall, &m.DownCPU, &m.UpWall, &m.UpCPU, &m.Up, &m.KiBPerSession, &m.IdlePercent, &m.BytesPerRoute,
		&m.LookupSession, &m.LookupCustomer, &m.LookupAll, &m.Asked}
}

// medians takes the median of each measure for itself.
func medians(runs []Measures) (m Measures) {
	into := m.fields()
	for i := range into {
		var values []float64
		for k := range runs {
			values = append(values, *runs[k].fields()[i])
		}
		*into[i] = result.Median(values)
	}
	return m
}

// stretch is the use of the machine at one moment.
type stretch struct {
	at                         time.Time
	speaker                    process.Usage
	speakerCPU, generator, all time.Duration
}

func look(p *process.Process) (s stretch, err error) {
	s = stretch{at: time.Now(), generator: selfCPU()}
	if s.speaker, err = p.Usage(); err != nil {
		return s, err
	}
	s.speakerCPU = s.speaker.CPU()
	s.all, err = process.Machine()
	return s, err
}

// setUse takes what was used between two moments.
func (m *Measures) setUse(before, after stretch) {
	m.CPU = (after.speakerCPU - before.speakerCPU).Seconds()
	m.User = (after.speaker.User - before.speaker.User).Seconds()
	m.System = (after.speaker.System - before.speaker.System).Seconds()
	m.GeneratorCPU = (after.generator - before.generator).Seconds()
	if wall := seconds(before.at, after.at); wall > 0 {
		m.Others = max(0, ((after.all-before.all).Seconds()-m.CPU-m.GeneratorCPU)/wall)
	}
}

func (m *Measures) setMemory(u process.Usage) {
	m.PeakMiB, m.ResidentMiB = float64(u.PeakKiB)/1024, float64(u.ResidentKiB)/1024
}

func (m *Measures) setTraffic(t traffic) {
	m.Announced = float64(t.announced)
	if t.updates > 0 {
		m.PerUpdate = float64(t.announced) / float64(t.updates)
	}
}

// perCore is prefixes sent per second of processor time.
func (m *Measures) perCore() float64 {
	if m.CPU == 0 {
		return 0
	}
	return m.Announced / m.CPU
}

// askedMs is not a number where nobody asked: there are older rows.
func (m *Measures) askedMs() float64 {
	if m.Asked == 0 {
		return math.NaN()
	}
	return 1000 * m.Asked
}

// systemShare is the part of processor time spent in system calls.
func (m *Measures) systemShare() float64 {
	if m.CPU == 0 {
		return 0
	}
	return m.System / m.CPU
}

func seconds(from, to time.Time) float64 { return to.Sub(from).Seconds() }
