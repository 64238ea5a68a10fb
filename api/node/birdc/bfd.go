package birdc

import "strings"

// codeBFD is the code of the lines of "show bfd sessions".
const codeBFD = 1020

func parseBFD(lines []Line) []BFDSession {
	var all []BFDSession
	for _, l := range lines {
		if l.Code != codeBFD {
			continue
		}
		if s, ok := bfdLine(l.Text); ok {
			all = append(all, s)
		}
	}
	return all
}

// bfdLine reads "ADDRESS INTERFACE STATE SINCE INTERVAL TIMEOUT". Headings and
// names of protocols do not begin with an address.
func bfdLine(text string) (BFDSession, bool) {
	first, rest := word(text)
	s := BFDSession{Neighbor: address(first)}
	if !s.Neighbor.IsValid() {
		return BFDSession{}, false
	}
	s.Interface, rest = word(rest)
	s.State, rest = word(rest)
	s.Since, rest = since(rest)
	times := strings.Fields(rest)
	if len(times) < 2 {
		return BFDSession{}, false
	}
	s.Interval, s.Timeout = seconds(times[0]), seconds(times[1])
	return s, true
}
