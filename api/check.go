package api

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// report collects the violations of one object.
type report struct {
	object string
	errs   []error
}

func (r *report) add(path, problem, fix string) {
	r.errs = append(r.errs, &FieldError{Object: r.object, Path: path, Problem: problem, Fix: fix})
}

func (r *report) err() error { return errors.Join(r.errs...) }

// number is any type of the nouns that a range bounds.
type number interface {
	~int | ~int64 | ~uint8 | ~uint16
}

// within reports a value outside of lo..hi.
func within[T number](r *report, path string, v, lo, hi T) {
	if v < lo || v > hi {
		r.add(path, fmt.Sprintf("%v is out of range", v), fmt.Sprintf("write %v..%v", lo, hi))
	}
}

// seconds reports a duration that is out of range or not whole seconds.
func (r *report) seconds(path string, d, lo, hi Duration) {
	if d < lo || d > hi || time.Duration(d)%time.Second != 0 {
		r.add(path, fmt.Sprintf("%v is not possible", d), fmt.Sprintf("write whole seconds, %v..%v", seconds(lo), seconds(hi)))
	}
}

func seconds(d Duration) string { return fmt.Sprintf("%ds", time.Duration(d)/time.Second) }

// holdTime bounds a hold time by RFC 4271 section 4.2, without its 0: a session
// without keepalives is silent, and IPVS forgets silent connections.
func (r *report) holdTime(path string, d Duration) {
	r.seconds(path, d, Duration(3*time.Second), Duration(65535*time.Second))
}

// labelProblem says why a name is not a DNS label (RFC 1123), or is empty.
func labelProblem(name string) string {
	switch {
	case name == "":
		return "the name is missing"
	case len(name) > 63:
		return fmt.Sprintf("the name has %d characters", len(name))
	case name[0] == '-' || name[len(name)-1] == '-':
		return fmt.Sprintf("%q begins or ends with a hyphen", name)
	}
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		case c == '/':
			return fmt.Sprintf("%q has a slash", clip(name))
		default:
			return fmt.Sprintf("%q has the character %q", clip(name), c)
		}
	}
	return ""
}

// CheckName tells whether a name may be that of an object: names are parts of
// keys, paths and configuration files.
func CheckName(name string) error {
	if problem := labelProblem(name); problem != "" {
		return &FieldError{Problem: problem, Fix: nameFix}
	}
	return nil
}

const nameFix = "write 1..63 of a-z, 0-9 and hyphens, such as rs-1"

func (r *report) name(path, name string) {
	if problem := labelProblem(name); problem != "" {
		r.add(path, problem, nameFix)
	}
}

// names checks a list of references; each may occur once.
func (r *report) names(path string, names []string, most int) {
	r.count(path, len(names), 0, most)
	seen := map[string]int{}
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", path, i)
		r.name(at, name)
		if j, found := seen[name]; found {
			r.add(at, fmt.Sprintf("%s is item %d of the list already", name, j), "delete one of them")
			continue
		}
		seen[name] = i
	}
}

func (r *report) count(path string, n, least, most int) {
	if n < least {
		r.add(path, "the list is empty", fmt.Sprintf("write at least %d", least))
	}
	if n > most {
		r.add(path, fmt.Sprintf("the list has %d items", n), fmt.Sprintf("write at most %d", most))
	}
}

// addrProblem says why an address is no global unicast address that a host
// may own, or is empty.
func addrProblem(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "the address is missing"
	case a.Is4In6():
		return a.String() + " is an IPv4 address written as IPv6"
	case a.IsUnspecified():
		return a.String() + " is the unspecified address"
	case a.IsLoopback():
		return a.String() + " is a loopback address"
	case a.IsMulticast():
		return a.String() + " is a multicast address"
	case a.IsLinkLocalUnicast() || a.Zone() != "":
		return a.String() + " is a link-local address"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return a.String() + " is the broadcast address"
	case a.Is4() && a.As4()[0] == 0:
		return a.String() + " is in 0.0.0.0/8, which no host may have"
	}
	return ""
}

// address checks one address; it tells whether it is usable.
func (r *report) address(path string, a netip.Addr) bool {
	problem := addrProblem(a)
	if problem == "" {
		return true
	}
	fix := "write a unicast address such as 192.0.2.1 or 2001:db8::1"
	if a.Is4In6() {
		fix = "write " + a.Unmap().String()
	}
	r.add(path, problem, fix)
	return false
}

// own checks the addresses of a node: at least one, at most one per family.
func (r *report) own(path string, addrs []netip.Addr) {
	r.count(path, len(addrs), 1, 2)
	family := map[string]netip.Addr{}
	for i, a := range addrs {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !r.address(at, a) {
			continue
		}
		if other, found := family[familyOf(a)]; found {
			r.add(at, fmt.Sprintf("%v is a second %s address beside %v", a, familyOf(a), other), "keep the one in the network of the load balancers")
			continue
		}
		family[familyOf(a)] = a
	}
}

func familyOf(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// as refuses AS numbers that no speaker may have: 0 (RFC 7607), AS_TRANS (RFC
// 6793) and the last ones (RFC 7300).
func (r *report) as(path string, as uint32) {
	switch as {
	case 0:
		r.add(path, "the AS number is missing", "write 1..4294967294")
	case 23456, 65535, 4294967295:
		r.add(path, fmt.Sprintf("%d is a reserved AS number", as), "write another of 1..4294967294; 64512..65534 are for private use")
	}
}

// secret checks the name of a file in a secrets directory.
func (r *report) secret(path, name string) {
	if name != "" && !IsFileName(name) {
		r.add(path, fmt.Sprintf("%q is not a plain file name", clip(name)), "write the name of a file in the secrets directory: 1..64 of A-Z, a-z, 0-9, dot, hyphen and underscore, not beginning with a dot")
	}
}

// meta checks what all objects have.
func (r *report) meta(m *Meta) {
	r.name("metadata.name", m.Name)
	if m.Generation < 0 {
		r.add("metadata.generation", "the generation is negative", "delete the line")
	}
	const most, longest = 64, 256
	r.count("metadata.labels", len(m.Labels), 0, most)
	for _, k := range sortedKeys(m.Labels) {
		if k == "" || len(k) > 63 || len(m.Labels[k]) > longest || !printable(k) || !printable(m.Labels[k]) {
			r.add("metadata.labels."+clip(k), "the label has no name, is too long, or is not printable", fmt.Sprintf("write a name of 1..63 bytes and a value of at most %d", longest))
		}
	}
}

// printable keeps what terminals and YAML do not show out of what is shown.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
}
