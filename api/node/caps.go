package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// Capability is a Linux capability by its number in linux/capability.h.
type Capability int

// The capabilities that daemons ask for.
const (
	CapNetBindService Capability = 10
	CapNetAdmin       Capability = 12
	CapNetRaw         Capability = 13
)

// String is the name that capabilities(7) and systemd use.
func (c Capability) String() string {
	switch c {
	case CapNetBindService:
		return "CAP_NET_BIND_SERVICE"
	case CapNetAdmin:
		return "CAP_NET_ADMIN"
	case CapNetRaw:
		return "CAP_NET_RAW"
	}
	return "capability " + strconv.Itoa(int(c))
}

// RequireCaps fails when the process lacks one of the capabilities, and says
// how to give it.
func RequireCaps(caps ...Capability) error {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	defer f.Close()
	have, err := effectiveCaps(f)
	if err != nil {
		return err
	}
	return missingCaps(have, caps)
}

func missingCaps(have uint64, caps []Capability) error {
	var missing []string
	for _, c := range caps {
		if have&(1<<c) == 0 {
			missing = append(missing, c.String())
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("the process lacks %s; run it as root, or give it with AmbientCapabilities=%s in its systemd unit",
		strings.Join(missing, " and "), strings.Join(missing, " "))
}

// effectiveCaps reads the CapEff line of /proc/PID/status.
func effectiveCaps(status io.Reader) (uint64, error) {
	lines := bufio.NewScanner(status)
	for lines.Scan() {
		if hex, ok := strings.CutPrefix(lines.Text(), "CapEff:"); ok {
			caps, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			if err != nil {
				return 0, fmt.Errorf("capabilities: %w", err)
			}
			return caps, nil
		}
	}
	return 0, errors.Join(errors.New("capabilities: /proc/self/status has no CapEff line"), lines.Err())
}
