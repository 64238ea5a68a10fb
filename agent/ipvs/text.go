package ipvs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Text renders services in the manner of ipvsadm -Sn, ordered by address, then
// by mark; destinations keep the kernel's order, the newest first.
func Text(services []Service) string {
	sorted := slices.SortedFunc(slices.Values(services), func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Mark, b.Mark), a.Addr.Compare(b.Addr), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(maskBits(a.IPv6), maskBits(b.IPv6)))
	})
	var b strings.Builder
	for _, s := range sorted {
		fmt.Fprintf(&b, "-A %s\n", serviceArguments(s))
		for _, d := range s.Destinations {
			fmt.Fprintf(&b, "-a %s\n", destinationArguments(s.Key, d))
		}
	}
	return b.String()
}

// String writes the key as ipvsadm takes it.
func (k Key) String() string {
	if k.Mark != 0 {
		if k.IPv6 {
			return fmt.Sprintf("-f %d -6", k.Mark)
		}
		return fmt.Sprintf("-f %d", k.Mark)
	}
	flag := "-t"
	if k.Protocol != protocolTCP {
		flag = "-u"
	}
	return flag + " " + k.Addr.String()
}

func serviceArguments(s Service) string {
	text := fmt.Sprintf("%s -s %s", s.Key, s.Scheduler)
	if s.Flags&flagPersistent != 0 {
		text += fmt.Sprintf(" -p %d", s.Timeout)
	}
	s.Flags &^= flagPersistent
	if names := flagNames(s); len(names) > 0 {
		text += " -b " + strings.Join(names, ",")
	}
	return text
}

func destinationArguments(k Key, d Destination) string {
	text := fmt.Sprintf("%s -r %s %s -w %d", k, d.Addr, methodFlag(d), d.Weight)
	if d.Upper != 0 {
		text += fmt.Sprintf(" -x %d", d.Upper)
	}
	if d.Lower != 0 {
		text += fmt.Sprintf(" -y %d", d.Lower)
	}
	return text
}

func methodFlag(d Destination) string {
	switch d.Forward & forwardMask {
	case forwardDirect:
		return "-g"
	case forwardTunnel:
		return "-i"
	}
	return "-m"
}

// String names the role as ipvsadm does.
func (r DaemonRole) String() string {
	switch r {
	case Master:
		return "master"
	case Backup:
		return "backup"
	}
	return fmt.Sprintf("role %d", uint32(r))
}

// String writes the daemon as ipvsadm takes it.
func (d Daemon) String() string {
	return fmt.Sprintf("%s --mcast-interface %s --syncid %d", d.Role, d.Interface, d.ID)
}

// String writes the time-outs in seconds, as ipvsadm takes them.
func (t Timeouts) String() string {
	return fmt.Sprintf("%.0f %.0f %.0f", t.TCP.Seconds(), t.TCPFin.Seconds(), t.UDP.Seconds())
}
