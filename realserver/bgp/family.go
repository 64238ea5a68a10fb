package bgp

import (
	"fmt"
	"strings"
)

// AFI is an address family identifier (RFC 4760).
type AFI uint16

// SAFI is a subsequent address family identifier (RFC 4760).
type SAFI uint8

// The families that customers use. Others are carried as numbers.
const (
	AFIIPv4 AFI = 1
	AFIIPv6 AFI = 2

	SAFIUnicast SAFI = 1
)

// Family is an AFI with a SAFI.
type Family struct {
	AFI  AFI
	SAFI SAFI
}

// The unicast families.
var (
	IPv4Unicast = Family{AFIIPv4, SAFIUnicast}
	IPv6Unicast = Family{AFIIPv6, SAFIUnicast}
)

// families is the table of known families; one line adds one, and its index
// is its bit in a FamilySet. A family whose routes are more than a length and
// a prefix (VPN, Flowspec) will need a function of its own in place of bits.
var families = [...]struct {
	Family
	name string
	bits int   // of the longest prefix
	hops []int // lengths of a next hop in MP_REACH_NLRI
}{
	{IPv4Unicast, "ipv4-unicast", 32, []int{4}},
	{IPv6Unicast, "ipv6-unicast", 128, []int{16, 32}}, // RFC 2545 section 3
}

// index finds a family in the table; -1 when it is not known.
func (f Family) index() int {
	for i := range families {
		if families[i].Family == f {
			return i
		}
	}
	return -1
}

func (f Family) known() bool { return f.index() >= 0 }

// String names the family, as in "ipv4-unicast".
func (f Family) String() string {
	if i := f.index(); i >= 0 {
		return families[i].name
	}
	return fmt.Sprintf("afi-%d-safi-%d", f.AFI, f.SAFI)
}

// ParseFamily finds a known family by its name.
func ParseFamily(name string) (Family, bool) {
	for i := range families {
		if families[i].name == name {
			return families[i].Family, true
		}
	}
	return Family{}, false
}

// FamilySet is a set of known families.
type FamilySet uint32

// Families makes a set; families that are not known are left out.
func Families(fs ...Family) FamilySet {
	var s FamilySet
	for _, f := range fs {
		if i := f.index(); i >= 0 {
			s |= 1 << i
		}
	}
	return s
}

// Has tells whether a family is in the set.
func (s FamilySet) Has(f Family) bool {
	i := f.index()
	return i >= 0 && s&(1<<i) != 0
}

// List lists the families in the order of the table.
func (s FamilySet) List() []Family {
	var fs []Family
	for i := range families {
		if s&(1<<i) != 0 {
			fs = append(fs, families[i].Family)
		}
	}
	return fs
}

// String names the families, separated by commas.
func (s FamilySet) String() string {
	var names []string
	for _, f := range s.List() {
		names = append(names, f.String())
	}
	return strings.Join(names, ",")
}
