package birdc

import (
	"strings"
)

// The codes of the lines of "show status".
const (
	codeVersion = 1000
	codeUptime  = 1011
	codeState   = 13
)

// ready is what BIRD says at the end of its status when nothing is under way.
const ready = "Daemon is up and running"

func parseStatus(lines []Line) Status {
	var s Status
	for _, l := range lines {
		text := strings.TrimSpace(l.Text)
		switch l.Code {
		case codeVersion:
			s.Version = strings.TrimPrefix(text, "BIRD ")
		case codeState:
			s.Message, s.Ready = text, text == ready
		case codeUptime:
			s.uptime(text)
		}
	}
	return s
}

func (s *Status) uptime(text string) {
	for _, f := range []struct {
		prefix string
		into   *string
	}{
		{"Hostname is ", &s.Hostname},
		{"Current server time is ", &s.ServerTime},
		{"Last reboot on ", &s.LastReboot},
		{"Last reconfiguration on ", &s.LastReconfiguration},
	} {
		if value, ok := strings.CutPrefix(text, f.prefix); ok {
			*f.into = value
			return
		}
	}
	if id, ok := strings.CutPrefix(text, "Router ID is "); ok {
		s.RouterID = address(id)
	}
}
