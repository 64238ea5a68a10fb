package agent

import "reflect"

// part names a part of the host.
type part string

const (
	partSysctls   part = "sysctls"
	partAddresses part = "addresses"
	partTable     part = "table"
	partConnSync  part = "connsync"
	partNetfilter part = "netfilter"
	partSpeaker   part = "bird"
	partRecord    part = "record"
)

func parts() []part {
	return []part{partSysctls, partAddresses, partTable, partConnSync, partNetfilter, partSpeaker, partRecord}
}

// memo remembers what each part of the host was last asked to be equal to, so
// that a round between two full ones only touches what is wanted otherwise. A
// part that failed waits for the next full round, or for another wish: what is
// broken is not tried at every change of something else.
type memo map[part]attempt

type attempt struct {
	want any
	good bool
}

// due tells whether the part must be set, and whether what is wanted is what
// it was made equal to before: then anything that is found different is drift.
func (m memo) due(p part, want any, full bool) (due, same bool) {
	last, ok := m[p]
	same = ok && reflect.DeepEqual(last.want, want)
	return full || !same, same && last.good
}

// keep remembers an attempt. Want must not be changed any more.
func (m memo) keep(p part, want any, err error) { m[p] = attempt{want, err == nil} }

// settled tells whether the part was made equal to want, as far as is known.
func (m memo) settled(p part, want any) bool {
	_, good := m.due(p, want, true)
	return good
}
