package store

import (
	"context"
	"slices"
	"strings"
	"time"
)

// alarmsEvery is how often etcd is asked for its alarms: they stay until
// somebody disarms them.
const alarmsEvery = 30 * time.Second

// WatchAlarms asks etcd for its alarms until ctx ends, and returns nil. Reads,
// watches and leases go on while an alarm is raised: who does not write does not
// notice.
func (s *Store) WatchAlarms(ctx context.Context) error {
	for {
		if err := s.lookAtAlarms(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("etcd was not asked for its alarms", "error", err)
		}
		if !sleep(ctx, alarmsEvery) {
			return nil
		}
	}
}

// lookAtAlarms asks once. While nobody answers, what was known stays.
func (s *Store) lookAtAlarms(ctx context.Context) error {
	ctx, cancel := s.request(ctx)
	defer cancel()
	r, err := s.client.AlarmList(ctx)
	if err != nil {
		return s.explain("alarms", err)
	}
	var names []string
	for _, a := range r.Alarms {
		names = append(names, a.Alarm.String())
	}
	slices.Sort(names)
	s.noteAlarms(slices.Compact(names)) // each member may have raised it
	return nil
}

func (s *Store) noteAlarms(names []string) {
	s.metrics.alarms.Set(float64(len(names)))
	before := s.Alarms()
	s.alarms.Store(&names)
	switch {
	case slices.Equal(before, names):
	case len(names) > 0:
		s.log.Error("etcd has raised an alarm, and refuses writes until it is disarmed", "alarms", strings.Join(names, ","))
	default:
		s.log.Info("etcd's alarms are disarmed")
	}
}

// Alarms are those that etcd has raised, such as NOSPACE, as of the last time
// that it was asked.
func (s *Store) Alarms() []string {
	if names := s.alarms.Load(); names != nil {
		return *names
	}
	return nil
}
