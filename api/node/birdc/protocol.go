package birdc

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The codes of the lines of "show protocols all".
const (
	codeProtocol = 1002
	codeDetail   = 1006
)

// protocols gathers the lines of "show protocols" or "show protocols all"
// into one value a protocol.
type protocols struct {
	emit    func(*Protocol) error
	current *Protocol
	// section is the heading that the following, more indented lines belong
	// to: a channel, or a list of capabilities.
	channel *Channel
}

// line takes one line of the answer.
func (p *protocols) line(l Line) error {
	switch l.Code {
	case codeProtocol:
		if err := p.flush(); err != nil {
			return err
		}
		p.current, p.channel = protocolLine(l.Text), nil
	case codeDetail:
		if p.current != nil {
			p.detail(l.Text)
		}
	}
	return nil
}

// flush hands over the last protocol.
func (p *protocols) flush() error {
	done := p.current
	p.current = nil
	if done == nil {
		return nil
	}
	return p.emit(done)
}

// protocolLine reads "NAME PROTO TABLE STATE SINCE INFO". Since holds a space
// when BIRD writes dates: then its first part has no colon.
func protocolLine(text string) *Protocol {
	name, rest := word(text)
	p := &Protocol{Name: name}
	p.Proto, rest = word(rest)
	p.Table, rest = word(rest)
	p.State, rest = word(rest)
	p.Since, rest = since(rest)
	p.Info = strings.TrimSpace(rest)
	if p.Proto == "BGP" {
		// "STATE" padded, then the last error.
		state, lastError := word(p.Info)
		p.BGP = &BGP{State: state, LastError: strings.TrimSpace(lastError)}
		if state == "" {
			p.BGP.State = "Down"
		}
	}
	return p
}

// word cuts the first word off.
func word(text string) (first, rest string) {
	text = strings.TrimLeft(text, " ")
	first, rest, _ = strings.Cut(text, " ")
	return first, rest
}

// since cuts a time off: "08:58:39.149", "2026-11-21" or "2026-11-21 08:58:39".
func since(text string) (first, rest string) {
	first, rest = word(text)
	if strings.Contains(first, ":") {
		return first, rest
	}
	clock, after := word(rest)
	// A date alone is followed by the padding of its column.
	if strings.HasPrefix(rest, " ") || len(clock) < 5 || clock[2] != ':' {
		return first, rest
	}
	return first + " " + clock, after
}

// detail reads one indented line. Two spaces begin a part of the protocol,
// four a property of the part; deeper ones are not of interest.
func (p *protocols) detail(text string) {
	indent := len(text) - len(strings.TrimLeft(text, " "))
	text = strings.TrimSpace(text)
	if name, ok := strings.CutPrefix(text, "Channel "); ok && indent <= 2 {
		p.current.Channels = append(p.current.Channels, Channel{Name: name})
		p.channel = &p.current.Channels[len(p.current.Channels)-1]
		return
	}
	key, value, ok := strings.Cut(text, ":")
	if !ok || indent > 4 {
		return
	}
	value = strings.TrimSpace(value)
	switch {
	case p.channel != nil:
		p.channel.set(key, value)
	case key == "Description":
		p.current.Description = value
	case p.current.BGP != nil:
		p.current.BGP.set(key, value)
	}
}

func (c *Channel) set(key, value string) {
	switch key {
	case "State":
		c.State = value
	case "Table":
		c.Table = value
	case "Routes":
		c.routes(value)
	}
}

// routes reads "3 imported, 1 filtered, 0 exported, 3 preferred".
func (c *Channel) routes(value string) {
	for part := range strings.SplitSeq(value, ", ") {
		number, what := word(part)
		n, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		switch strings.TrimSpace(what) {
		case "imported":
			c.Imported = n
		case "exported":
			c.Exported = n
		case "preferred":
			c.Preferred = n
		}
	}
}

func (b *BGP) set(key, value string) {
	switch key {
	case "BGP state":
		b.State = value
	case "Neighbor address":
		b.Neighbor = address(value)
	case "Neighbor range":
		b.Range, _ = netip.ParsePrefix(value)
	case "Neighbor AS":
		b.NeighborAS = number(value)
	case "Local AS":
		b.LocalAS = number(value)
	case "Neighbor ID":
		b.NeighborID = address(value)
	case "Source address":
		b.LocalAddress = address(value)
	case "Hold timer":
		left, full, _ := strings.Cut(value, "/")
		b.HoldTimer, b.HoldTime = seconds(left), seconds(full)
	case "Last error":
		b.LastError = value
	}
}

// address reads an address; BIRD writes the zone of a link-local one as
// "fe80::1%eth0", as netip does.
func address(text string) netip.Addr {
	a, _ := netip.ParseAddr(text)
	return a
}

func number(text string) uint32 {
	n, _ := strconv.ParseUint(text, 10, 32)
	return uint32(n)
}

// seconds reads a time as BIRD writes it, such as "77.012".
func seconds(text string) time.Duration {
	s, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	const most = float64(1<<62) / float64(time.Second)
	if err != nil || !(s >= 0 && s < most) {
		return 0
	}
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}
