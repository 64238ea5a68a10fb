package swarm

import (
	"strconv"
	"time"
)

// Seconds is a duration that JSON shows as a number of seconds, to the
// microsecond. Moments are Seconds since the swarm began, on the monotonic
// clock.
type Seconds time.Duration

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) {
	us := time.Duration(s).Round(time.Microsecond).Microseconds()
	return strconv.AppendFloat(nil, float64(us)/1e6, 'f', -1, 64), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return err
	}
	*s = Seconds(time.Duration(f * float64(time.Second)).Round(time.Microsecond))
	return nil
}

// String is the duration to the millisecond.
func (s Seconds) String() string { return time.Duration(s).Round(time.Millisecond).String() }
