package bgp

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// message is an UPDATE in hex, spaces free: attributes apart, so that a case
// shows only what matters.
type message struct {
	withdrawn, attributes, nlri string
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (m message) body(t testing.TB) []byte {
	t.Helper()
	t.Helper()
	return AppendUpdate(nil, unhex(t, m.withdrawn), unhex(t, m.attributes), unhex(t, m.nlri))[HeaderLen:]
}

// outcome is what a message leads to.
type outcome struct {
	Reset     uint8 // subcode of the NOTIFICATION; 0: the session goes on
	Action    Action
	Loop      bool
	Announced []string
	Withdrawn []string
	Set       string // canonical, in hex
}

func decodeOutcome(t *testing.T, peer Peer, body []byte) (outcome, string) {
	t.Helper()
	d, r := Decoder{Peer: peer}, Routes{}
	err := d.Decode(body, &r)
	var e *Error
	if errors.As(err, &e) {
		if e.Notification.Code != CodeUpdate {
			t.Errorf("NOTIFICATION is %v", e.Notification)
		}
		return outcome{Reset: e.Notification.Subcode}, e.Reason
	}
	o := outcome{Action: r.Action, Loop: r.Loop, Set: hex.EncodeToString(r.Attributes)}
	for _, p := range r.Parts {
		for _, prefix := range collect(t, p.Family.AFI, p.Withdrawn) {
			o.Withdrawn = append(o.Withdrawn, prefix.String())
		}
		for _, prefix := range collect(t, p.Family.AFI, p.Announced) {
			hop := p.NextHop.String()
			if p.LinkLocal.IsValid() {
				hop += " " + p.LinkLocal.String()
			}
			o.Announced = append(o.Announced, prefix.String()+" via "+hop)
		}
	}
	return o, r.Reason
}

const (
	origin  = "40 01 01 00 "
	path    = "40 02 06 02 01 0000fde9 " // 65001
	hop     = "40 03 04 c0000201 "       // 192.0.2.1
	pref    = "40 05 04 000000c8 "       // 200
	defPref = "40 05 04 00000064 "       // what is added when it is missing
	nlri    = "18 c63364"                // 198.51.100.0/24
	gone    = "18 cb0071"                // 203.0.113.0/24
	hop6    = "20010db8000000000000000000000001"
	local6  = "fe800000000000000000000000000001"
	nlri6   = "20 20010db8"
	reach6  = "80 0e 1a 0002 01 10 " + hop6 + " 00 " + nlri6 + " "
	gone6   = "80 0f 08 0002 01 20 20010db9 "
	base    = origin + path + hop + pref
	baseSet = origin + path + pref // of base, canonical
)

var (
	external = Peer{FourOctetAS: true, LocalAS: 65000, AS: 65001, LocalID: testPeer.LocalID, Families: testPeer.Families}
	oldPeer  = Peer{Internal: true, LocalAS: 65000, AS: 65000, LocalID: testPeer.LocalID, Families: testPeer.Families}
	v4Only   = Peer{FourOctetAS: true, Internal: true, LocalAS: 65000, AS: 65000, Families: Families(IPv4Unicast)}
)

func good(set string) outcome {
	return outcome{Announced: []string{"198.51.100.0/24 via 192.0.2.1"}, Set: strings.ReplaceAll(set, " ", "")}
}

func discarded(set string) outcome {
	o := good(set)
	o.Action = AttributeDiscard
	return o
}

func withdrawn(prefixes ...string) outcome {
	if len(prefixes) == 0 {
		prefixes = []string{"198.51.100.0/24"}
	}
	return outcome{Action: TreatAsWithdraw, Withdrawn: prefixes}
}

func looped(prefixes ...string) outcome {
	o := withdrawn(prefixes...)
	o.Action, o.Loop = None, true
	return o
}

func reset(subcode uint8) outcome { return outcome{Reset: subcode} }

// Every class of malformed UPDATE that RFC 7606 and the RFCs which follow it
// know, with the section that decides.
func TestMalformed(t *testing.T) {
	internal := testPeer
	first := external
	first.EnforceFirstAS = true
	tests := []struct {
		name, section string
		peer          Peer
		message       message
		want          outcome
	}{
		// The message as a whole.
		{"nothing wrong", "", internal, message{"", base, nlri}, good(baseSet)},
		{"withdrawn and announced", "RFC 4271 4.3", internal, message{gone, base, nlri},
			outcome{Withdrawn: []string{"203.0.113.0/24"}, Announced: []string{"198.51.100.0/24 via 192.0.2.1"}, Set: strings.ReplaceAll(baseSet, " ", "")}},

		// 3 c: flags.
		{"ORIGIN optional", "3 c", internal, message{"", "c0 01 01 00 " + path + hop + pref, nlri}, withdrawn()},
		{"ORIGIN not transitive", "3 c", internal, message{"", "00 01 01 00 " + path + hop + pref, nlri}, withdrawn()},
		{"AS_PATH optional", "3 c", internal, message{"", origin + "c0 02 00 " + hop + pref, nlri}, withdrawn()},
		{"MED transitive", "3 c", internal, message{"", base + "c0 04 04 00000001", nlri}, withdrawn()},
		{"MED well-known", "3 c", internal, message{"", base + "40 04 04 00000001", nlri}, withdrawn()},
		{"COMMUNITIES not transitive", "3 c", internal, message{"", base + "80 08 04 00010002", nlri}, withdrawn()},
		{"AGGREGATOR not transitive", "3 c", internal, message{"", base + "80 07 08 00000001 c0000201", nlri}, withdrawn()},
		{"ATOMIC_AGGREGATE optional", "3 c", internal, message{"", base + "c0 06 00", nlri}, withdrawn()},
		{"ORIGINATOR_ID transitive", "3 c", internal, message{"", base + "c0 09 04 01020304", nlri}, withdrawn()},
		{"LARGE_COMMUNITIES not transitive", "3 c", internal, message{"", base + "80 20 0c 000000010000000200000003", nlri}, withdrawn()},
		{"other flags", "RFC 4271 4.3", internal, message{"", "6f 01 01 00 " + path + hop + pref, nlri}, good(baseSet)},
		{"extended length of a short one", "RFC 4271 4.3", internal, message{"", "50 01 0001 00 " + path + hop + pref, nlri}, good(baseSet)},
		{"LOCAL_PREF from external, flags", "3 c, h", external, message{"", origin + path + hop + "c0 05 04 00000064", nlri}, withdrawn()},

		// 3 d: missing.
		{"ORIGIN missing", "3 d", internal, message{"", path + hop + pref, nlri}, withdrawn()},
		{"AS_PATH missing", "3 d", internal, message{"", origin + hop + pref, nlri}, withdrawn()},
		{"NEXT_HOP missing", "3 d", internal, message{"", origin + path + pref, nlri}, withdrawn()},
		{"all missing", "3 d", internal, message{"", "", nlri}, withdrawn()},
		{"all missing, withdrawals too", "3 d", internal, message{gone, "", nlri}, withdrawn("203.0.113.0/24", "198.51.100.0/24")},
		{"ORIGIN missing, MP", "3 d", internal, message{"", reach6 + path + pref, ""}, withdrawn("2001:db8::/32")},
		{"NEXT_HOP missing, MP", "3 d", internal, message{"", reach6 + origin + path + pref, ""},
			outcome{Announced: []string{"2001:db8::/32 via 2001:db8::1"}, Set: strings.ReplaceAll(baseSet, " ", "")}},
		{"LOCAL_PREF missing", "RFC 4271 5.1.5", internal, message{"", origin + path + hop, nlri}, good(origin + path + defPref)},
		{"withdrawals need no attributes", "RFC 4271 4.3", internal, message{gone, "", ""}, outcome{Withdrawn: []string{"203.0.113.0/24"}}},

		// 3 g: duplicates.
		{"ORIGIN twice", "3 g", internal, message{"", base + "40 01 01 02", nlri}, discarded(baseSet)},
		{"second is malformed", "3 g", internal, message{"", base + "40 01 02 0909", nlri}, discarded(baseSet)},
		{"first is malformed", "3 g", internal, message{"", "40 01 01 07 " + base, nlri}, withdrawn()},
		{"unknown twice", "3 g", internal, message{"", base + "c0 63 01 01 c0 63 01 02", nlri}, discarded(baseSet + "e0 63 01 01")},
		{"MP_REACH_NLRI twice", "3 g", internal, message{"", reach6 + reach6 + base, nlri}, reset(SubMalformedAttributeList)},
		{"MP_UNREACH_NLRI twice", "3 g", internal, message{"", gone6 + gone6, ""}, reset(SubMalformedAttributeList)},

		// 3 h: the strongest action.
		{"discard and withdraw", "3 h", internal, message{"", base + "40 06 01 00 c0 08 03 000000", nlri}, withdrawn()},
		{"withdraw and discard", "3 h", internal, message{"", base + "c0 08 03 000000 c0 07 01 00", nlri}, withdrawn()},
		{"withdraw and reset", "3 h", internal, message{"", base + "c0 08 03 000000 80 0f 02 0002", nlri}, reset(SubOptionalAttribute)},
		{"withdraw and NLRI", "3 h", internal, message{"", base + "c0 08 03 000000", "21 0102030405"}, reset(SubInvalidNetworkField)},

		// 4: lengths.
		{"last overruns", "4", internal, message{"", base + "c0 08 05 00000000", nlri}, withdrawn()},
		{"extended overruns", "4", internal, message{"", base + "d0 08 0005 00000000", nlri}, withdrawn()},
		{"one octet left", "4", internal, message{"", base + "40", nlri}, withdrawn()},
		{"two octets left", "4", internal, message{"", base + "40 06", nlri}, withdrawn()},
		{"three left, extended", "4", internal, message{"", base + "50 06 00", nlri}, withdrawn()},
		{"overrun after MP_REACH_NLRI", "4", internal, message{"", reach6 + base + "c0 08 05 00", ""}, withdrawn("2001:db8::/32")},
		{"overrun after withdrawals", "4, 5.2", internal, message{gone, "40 06", ""}, reset(SubMalformedAttributeList)},
		{"overrun of MP_REACH_NLRI", "3 j", internal, message{"", base + "80 0e 20 0002 01 10", nlri}, reset(SubMalformedAttributeList)},
		{"overrun of MP_UNREACH_NLRI", "3 j", internal, message{"", base + "80 0f 09 0002", nlri}, reset(SubMalformedAttributeList)},
		{"COMMUNITIES of no length", "4", internal, message{"", base + "c0 08 00", nlri}, withdrawn()},
		{"AS_PATH of no length", "4", internal, message{"", origin + "40 02 00 " + hop + pref, nlri}, good(origin + "40 02 00" + pref)},

		// 5.2: errors without reachable routes.
		{"ORIGIN with withdrawals", "5.2", internal, message{gone, "40 01 01 07", ""}, reset(SubInvalidOrigin)},
		{"flags with MP_UNREACH_NLRI", "5.2", internal, message{"", gone6 + "c0 01 01 00", ""}, reset(SubAttributeFlags)},
		{"length with MP_UNREACH_NLRI", "5.2", internal, message{"", gone6 + "40 01 00", ""}, reset(SubAttributeLength)},
		{"path with MP_UNREACH_NLRI", "5.2", internal, message{"", gone6 + "40 02 01 02", ""}, reset(SubMalformedASPath)},
		{"communities with MP_REACH_NLRI of none", "5.2", internal, message{"", "80 0e 15 0002 01 10 " + hop6 + " 00 " + base + "c0 08 01 00", ""}, reset(SubOptionalAttribute)},
		{"discard with withdrawals", "5.2", internal, message{gone, "40 06 01 00", ""}, outcome{Action: AttributeDiscard, Withdrawn: []string{"203.0.113.0/24"}}},
		{"attributes alone", "5.2", internal, message{"", base, ""}, outcome{}},

		// 5.3: syntax of NLRI.
		{"33 bits", "5.3", internal, message{"", base, "21 0102030405"}, reset(SubInvalidNetworkField)},
		{"prefix overruns", "5.3", internal, message{"", base, "18 c633"}, reset(SubInvalidNetworkField)},
		{"second overruns", "5.3", internal, message{"", base, nlri + "20 010203"}, reset(SubInvalidNetworkField)},
		{"withdrawn 33 bits", "3 i, 5.3", internal, message{"21 0102030405", "", ""}, reset(SubInvalidNetworkField)},
		{"withdrawn overruns", "3 i, 5.3", internal, message{"18 c633", base, nlri}, reset(SubInvalidNetworkField)},
		{"MP_REACH_NLRI 129 bits", "5.3", internal, message{"", "80 0e 27 0002 01 10 " + hop6 + " 00 81" + hop6 + "00 " + base, ""}, reset(SubOptionalAttribute)},
		{"MP_REACH_NLRI prefix overruns", "5.3", internal, message{"", "80 0e 19 0002 01 10 " + hop6 + " 00 20 20010d " + base, ""}, reset(SubOptionalAttribute)},
		{"MP_UNREACH_NLRI 129 bits", "5.3", internal, message{"", "80 0f 15 0002 01 81" + hop6 + "00 ", ""}, reset(SubOptionalAttribute)},
		{"MP_UNREACH_NLRI prefix overruns", "5.3", internal, message{"", "80 0f 05 0002 01 18 20", ""}, reset(SubOptionalAttribute)},
		{"MP_REACH_NLRI of IPv4, 33 bits", "5.3", internal, message{"", "80 0e 0f 0001 01 04 c0000201 00 21 0102030405 " + base, ""}, reset(SubOptionalAttribute)},
		{"MP_REACH_NLRI flags", "5.3", internal, message{"", "c0" + reach6[2:] + base, ""}, reset(SubOptionalAttribute)},
		{"MP_UNREACH_NLRI flags", "5.3", internal, message{"", "40" + gone6[2:], ""}, reset(SubOptionalAttribute)},
		{"MP_REACH_NLRI of 4", "5.3", internal, message{"", "80 0e 04 0002 01 00 " + base, nlri}, reset(SubOptionalAttribute)},
		{"MP_UNREACH_NLRI of 2", "5.3", internal, message{"", "80 0f 02 0002 " + base, nlri}, reset(SubOptionalAttribute)},

		// 7.1: ORIGIN.
		{"ORIGIN of 2", "7.1", internal, message{"", "40 01 02 0000 " + path + hop + pref, nlri}, withdrawn()},
		{"ORIGIN of 0", "7.1", internal, message{"", "40 01 00 " + path + hop + pref, nlri}, withdrawn()},
		{"ORIGIN 3", "7.1", internal, message{"", "40 01 01 03 " + path + hop + pref, nlri}, withdrawn()},

		// 7.2: AS_PATH.
		{"segment type 5", "7.2", internal, message{"", origin + "40 02 06 05 01 00000001 " + hop + pref, nlri}, withdrawn()},
		{"segment type 0", "7.2", internal, message{"", origin + "40 02 06 00 01 00000001 " + hop + pref, nlri}, withdrawn()},
		{"segment overruns", "7.2", internal, message{"", origin + "40 02 06 02 02 00000001 " + hop + pref, nlri}, withdrawn()},
		{"segment underruns", "7.2", internal, message{"", origin + "40 02 07 02 01 00000001 02 " + hop + pref, nlri}, withdrawn()},
		{"segment of none", "7.2", internal, message{"", origin + "40 02 02 02 00 " + hop + pref, nlri}, withdrawn()},
		{"2-octet path from a 4-octet peer", "7.2", internal, message{"", origin + "40 02 04 02 01 fde9 " + hop + pref, nlri}, withdrawn()},
		{"not the peer's AS first", "7.2", first, message{"", origin + "40 02 06 02 01 0000fdea " + hop, nlri}, withdrawn()},
		{"the peer's AS first", "7.2", first, message{"", origin + path + hop, nlri}, good(origin + path)},
		{"AS 0", "RFC 7607", internal, message{"", origin + "40 02 0a 02 02 0000fde9 00000000 " + hop + pref, nlri}, withdrawn()},
		{"confederation from external", "RFC 5065 5", external, message{"", origin + "40 02 06 03 01 0000fde9 " + hop, nlri}, withdrawn()},
		{"confederation set from external", "RFC 5065 5", external, message{"", origin + "40 02 0c 04 01 0000fde9 02 01 0000fde9 " + hop, nlri}, withdrawn()},
		{"confederation from internal", "RFC 5065 5", internal, message{"", origin + "40 02 06 03 01 0000fde9 " + hop + pref, nlri}, good(origin + "40 02 06 03 01 0000fde9" + pref)},
		{"own AS", "RFC 4271 9.1.2", external, message{"", origin + "40 02 0a 02 02 0000fde9 0000fde8 " + hop, nlri}, looped()},
		{"own AS in a set", "RFC 4271 9.1.2", external, message{"", origin + "40 02 0c 02 01 0000fde9 01 01 0000fde8 " + hop, nlri}, looped()},

		// 7.3: NEXT_HOP.
		{"NEXT_HOP of 3", "7.3", internal, message{"", origin + path + "40 03 03 c00002 " + pref, nlri}, withdrawn()},
		{"NEXT_HOP of 16", "7.3", internal, message{"", origin + path + "40 03 10 " + hop6 + pref, nlri}, withdrawn()},
		{"NEXT_HOP 0.0.0.0", "3 e", internal, message{"", origin + path + "40 03 04 00000000 " + pref, nlri}, withdrawn()},
		{"NEXT_HOP multicast", "3 e", internal, message{"", origin + path + "40 03 04 e0000001 " + pref, nlri}, withdrawn()},
		{"NEXT_HOP broadcast", "3 e", internal, message{"", origin + path + "40 03 04 ffffffff " + pref, nlri}, withdrawn()},
		{"NEXT_HOP of 3 beside MP_REACH_NLRI", "RFC 4760 3", internal, message{"", reach6 + origin + path + "40 03 03 000000 " + pref, ""},
			outcome{Announced: []string{"2001:db8::/32 via 2001:db8::1"}, Set: strings.ReplaceAll(baseSet, " ", "")}},

		// 7.4, 7.5: MULTI_EXIT_DISC, LOCAL_PREF.
		{"MED of 3", "7.4", internal, message{"", base + "80 04 03 000000", nlri}, withdrawn()},
		{"LOCAL_PREF of 5", "7.5", internal, message{"", origin + path + hop + "40 05 05 0000000000", nlri}, withdrawn()},
		{"LOCAL_PREF from external", "7.5", external, message{"", base, nlri}, discarded(origin + path)},
		{"LOCAL_PREF of 5 from external", "7.5", external, message{"", origin + path + hop + "40 05 05 0000000000", nlri}, discarded(origin + path)},

		// 7.6, 7.7: aggregation.
		{"ATOMIC_AGGREGATE of 1", "7.6", internal, message{"", base + "40 06 01 00", nlri}, discarded(baseSet)},
		{"AGGREGATOR of 6", "7.7", internal, message{"", base + "c0 07 06 0001 c0000201", nlri}, discarded(baseSet)},
		{"AGGREGATOR of 8 from a 2-octet peer", "7.7", oldPeer, message{"", origin + "40 02 04 02 01 fde9" + hop + pref + "c0 07 08 00000001 c0000201", nlri}, discarded(baseSet)},
		{"AGGREGATOR of AS 0", "RFC 7607", internal, message{"", base + "c0 07 08 00000000 c0000201", nlri}, discarded(baseSet)},

		// 7.8, 7.14, 7.15, RFC 8092: communities.
		{"COMMUNITIES of 6", "7.8", internal, message{"", base + "c0 08 06 000100020003", nlri}, withdrawn()},
		{"EXTENDED_COMMUNITIES of 0", "7.14", internal, message{"", base + "c0 10 00", nlri}, withdrawn()},
		{"EXTENDED_COMMUNITIES of 12", "7.14", internal, message{"", base + "c0 10 0c 000200010000000200000000", nlri}, withdrawn()},
		{"extended community of unknown type", "7.14", internal, message{"", base + "c0 10 08 ff ff 000000000000", nlri}, good(baseSet + "c0 10 08 ff ff 000000000000")},
		{"IPv6 extended of 19", "7.15", internal, message{"", base + "c0 19 13" + strings.Repeat("00", 19), nlri}, withdrawn()},
		{"LARGE_COMMUNITIES of 11", "RFC 8092 6", internal, message{"", base + "c0 20 0b" + strings.Repeat("00", 11), nlri}, withdrawn()},
		{"LARGE_COMMUNITIES of 0", "RFC 8092 6", internal, message{"", base + "c0 20 00", nlri}, withdrawn()},
		{"LARGE_COMMUNITIES redundant", "RFC 8092 3", internal, message{"", base + "c0 20 24 000000020000000200000002 000000010000000100000001 000000020000000200000002", nlri},
			good(baseSet + "c0 20 18 000000010000000100000001 000000020000000200000002")},

		// 7.9, 7.10: route reflection.
		{"ORIGINATOR_ID of 5", "7.9", internal, message{"", base + "80 09 05 0102030405", nlri}, withdrawn()},
		{"ORIGINATOR_ID from external", "7.9", external, message{"", origin + path + hop + "80 09 05 0102030405", nlri}, discarded(origin + path)},
		{"own ORIGINATOR_ID", "RFC 4456 8", internal, message{"", base + "80 09 04 c00002ff", nlri}, looped()},
		{"own ORIGINATOR_ID from external", "7.9", external, message{"", origin + path + hop + "80 09 04 c00002ff", nlri}, discarded(origin + path)},
		{"CLUSTER_LIST of 0", "7.10", internal, message{"", base + "80 0a 00", nlri}, withdrawn()},
		{"CLUSTER_LIST of 6", "7.10", internal, message{"", base + "80 0a 06 010203040506", nlri}, withdrawn()},
		{"CLUSTER_LIST from external", "7.10", external, message{"", origin + path + hop + "80 0a 06 010203040506", nlri}, discarded(origin + path)},
		{"own CLUSTER_LIST", "RFC 4456 8", internal, message{"", base + "80 0a 08 01020304 c00002ff", nlri}, looped()},

		// 7.11: MP_REACH_NLRI.
		{"next hop of 15", "7.11", internal, message{"", "80 0e 19 0002 01 0f " + hop6[2:] + " 00 " + nlri6 + base, ""}, reset(SubOptionalAttribute)},
		{"next hop of 0", "7.11", internal, message{"", "80 0e 0a 0002 01 00 00 " + nlri6 + base, ""}, reset(SubOptionalAttribute)},
		{"next hop of 4 for IPv6", "7.11", internal, message{"", "80 0e 0e 0002 01 04 c0000201 00 " + nlri6 + base, ""}, reset(SubOptionalAttribute)},
		{"next hop of 16 for IPv4", "7.11", internal, message{"", "80 0e 19 0001 01 10 " + hop6 + " 00 " + nlri + base, ""}, reset(SubOptionalAttribute)},
		{"next hop exceeds it", "5.3", internal, message{"", "80 0e 09 0002 01 10 00000000 00" + base, nlri}, reset(SubOptionalAttribute)},
		{"next hop ::", "3 e", internal, message{"", "80 0e 1a 0002 01 10 " + strings.Repeat("00", 16) + " 00 " + nlri6 + " " + origin + path + pref, ""}, withdrawn("2001:db8::/32")},
		{"two next hops", "RFC 2545 3", internal, message{"", "80 0e 2a 0002 01 20 " + hop6 + local6 + " 00 " + nlri6 + " " + origin + path + pref, ""},
			outcome{Announced: []string{"2001:db8::/32 via 2001:db8::1 fe80::1"}, Set: strings.ReplaceAll(baseSet, " ", "")}},
		{"link-local next hop alone", "RFC 2545 3", internal, message{"", "80 0e 1a 0002 01 10 " + local6 + " 00 " + nlri6 + " " + origin + path + pref, ""},
			outcome{Announced: []string{"2001:db8::/32 via fe80::1"}, Set: strings.ReplaceAll(baseSet, " ", "")}},
		{"IPv4 in MP_REACH_NLRI", "RFC 4760 3", internal, message{"", "80 0e 0d 0001 01 04 c0000201 00 " + nlri + " " + origin + path + pref, ""}, good(baseSet)},
		{"reserved octet is set", "RFC 4760 3", internal, message{"", "80 0e 0d 0001 01 04 c0000201 ff " + nlri + " " + origin + path + pref, ""}, good(baseSet)},
		{"MP_REACH_NLRI last", "5.1", internal, message{"", base + reach6, nlri},
			outcome{Announced: []string{"198.51.100.0/24 via 192.0.2.1", "2001:db8::/32 via 2001:db8::1"}, Set: strings.ReplaceAll(baseSet, " ", "")}},
		{"both MP attributes, and withdrawn by error", "5.1", internal, message{gone, base + gone6 + reach6 + "c0 08 01 00", nlri},
			withdrawn("2001:db9::/32", "203.0.113.0/24", "2001:db8::/32", "198.51.100.0/24")},

		// Families that are not negotiated.
		{"IPv6 not negotiated", "RFC 4760", v4Only, message{"", base + reach6, nlri}, good(baseSet)},
		{"IPv6 not negotiated, malformed", "RFC 4760", v4Only, message{"", base + "80 0e 0a 0002 01 00 00 81 00000000", nlri}, good(baseSet)},
		{"unknown family", "RFC 4760", internal, message{"", base + "80 0e 0a 4004 47 00 00 81 00000000", nlri}, good(baseSet)},

		// Attributes that are not recognized.
		{"well-known and unknown", "RFC 4271 6.3", internal, message{"", base + "40 63 01 00", nlri}, reset(SubUnrecognizedWellKnown)},
		{"transitive and unknown", "RFC 4271 5", internal, message{"", base + "c0 63 01 07", nlri}, good(baseSet + "e0 63 01 07")},
		{"transitive, unknown, of no length", "RFC 4271 5", internal, message{"", base + "c0 63 00", nlri}, good(baseSet + "e0 63 00")},
		{"not transitive and unknown", "RFC 4271 5", internal, message{"", base + "a0 63 01 07", nlri}, good(baseSet)},

		// RFC 6793.
		{"AS4_PATH from a 4-octet peer", "RFC 6793 4.1", internal, message{"", base + "c0 11 06 02 01 00000001", nlri}, discarded(baseSet)},
		{"AS4_AGGREGATOR from a 4-octet peer", "RFC 6793 4.1", internal, message{"", base + "c0 12 08 00000001 c0000201", nlri}, discarded(baseSet)},
		{"AS4_PATH too short", "RFC 6793 6", oldPeer, message{"", origin + "40 02 04 02 01 fde9 " + hop + pref + "c0 11 02 02 00", nlri}, discarded(baseSet)},
		{"AS4_PATH of type 9", "RFC 6793 6", oldPeer, message{"", origin + "40 02 04 02 01 fde9 " + hop + pref + "c0 11 06 09 01 00000001", nlri}, discarded(baseSet)},
		{"AS4_PATH with AS 0", "RFC 7607", oldPeer, message{"", origin + "40 02 04 02 01 fde9 " + hop + pref + "c0 11 06 02 01 00000000", nlri}, discarded(baseSet)},
		{"AS4_AGGREGATOR of 6", "RFC 6793 6", oldPeer, message{"", origin + "40 02 04 02 01 fde9 " + hop + pref + "c0 12 06 0001 c0000201", nlri}, discarded(baseSet)},
		{"AS4_AGGREGATOR of AS 0", "RFC 7607", oldPeer, message{"", origin + "40 02 04 02 01 fde9 " + hop + pref + "c0 12 08 00000000 c0000201", nlri}, discarded(baseSet)},
	}
	names := map[string]bool{}
	for _, tt := range tests {
		if names[tt.name] {
			t.Errorf("two cases are called %q", tt.name)
		}
		names[tt.name] = true
		t.Run(tt.name, func(t *testing.T) {
			got, reason := decodeOutcome(t, tt.peer, tt.message.body(t))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("section %s, reason %q (-want +got)\n%s", tt.section, reason, diff)
			}
			if (got.Action != None || got.Loop || got.Reset != 0) != (reason != "") {
				t.Errorf("reason is %q", reason)
			}
		})
	}
}

// Lengths of whole fields: RFC 7606 section 3 b.
func TestMalformedFrame(t *testing.T) {
	for name, body := range map[string]string{
		"three octets":        "000000",
		"withdrawn too long":  "0001 0000",
		"attributes too long": "0000 0001",
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := decodeOutcome(t, testPeer, unhex(t, body))
			if diff := cmp.Diff(reset(SubMalformedAttributeList), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A NOTIFICATION shows the attribute that is to blame, where the RFC wants it.
func TestMalformedData(t *testing.T) {
	tests := map[string]struct {
		message message
		want    string
	}{
		"flags":                {message{"", gone6 + "c0 01 01 00", ""}, "c0 01 01 00"},
		"length":               {message{"", gone6 + "40 01 02 0000", ""}, "40 01 02 0000"},
		"origin":               {message{"", gone6 + "40 01 01 03", ""}, "40 01 01 03"},
		"next hop":             {message{gone, "40 03 04 00000000", ""}, "40 03 04 00000000"},
		"unknown":              {message{"", base + "40 63 01 00", nlri}, "40 63 01 00"},
		"path shows nothing":   {message{"", gone6 + "40 02 01 03", ""}, ""},
		"MP_UNREACH_NLRI of 2": {message{"", "80 0f 02 0002", ""}, "80 0f 02 0002"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var e *Error
			err := (&Decoder{Peer: testPeer}).Decode(tt.message.body(t), new(Routes))
			if !errors.As(err, &e) {
				t.Fatalf("error is %v", err)
			}
			if diff := cmp.Diff(strings.ReplaceAll(tt.want, " ", ""), hex.EncodeToString(e.Notification.Data)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestDecodeEndOfRIB(t *testing.T) {
	tests := map[string]struct {
		body []byte
		want Family
		ok   bool
	}{
		"IPv4":                   {AppendEndOfRIB(nil, IPv4Unicast)[HeaderLen:], IPv4Unicast, true},
		"IPv6":                   {AppendEndOfRIB(nil, IPv6Unicast)[HeaderLen:], IPv6Unicast, true},
		"IPv4 in MP_UNREACH":     {message{"", "80 0f 03 0001 01", ""}.body(t), IPv4Unicast, true},
		"extended length":        {message{"", "90 0f 0003 0002 01", ""}.body(t), IPv6Unicast, true},
		"not with withdrawals":   {message{"", gone6, ""}.body(t), Family{}, false},
		"not with attributes":    {message{"", "80 0f 03 0002 01" + origin, ""}.body(t), Family{}, false},
		"not with IPv4 withdraw": {message{gone, "80 0f 03 0002 01", ""}.body(t), Family{}, false},
		"not with empty reach":   {message{"", "80 0e 15 0002 01 10 " + hop6 + "00", ""}.body(t), Family{}, false},
		"routes":                 {message{"", base, nlri}.body(t), Family{}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var r Routes
			if err := (&Decoder{Peer: testPeer}).Decode(tt.body, &r); err != nil {
				t.Fatal(err)
			}
			if got, ok := r.EndOfRIB(); got != tt.want || ok != tt.ok {
				t.Errorf("End-of-RIB of %v, %v; want %v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

// The own end of the session as next hop has the routes ignored.
func TestOwnNextHop(t *testing.T) {
	peer := testPeer
	peer.LocalAddr = netip.MustParseAddr("192.0.2.1")
	got, reason := decodeOutcome(t, peer, message{"", base, nlri}.body(t))
	if diff := cmp.Diff(looped(), got); diff != "" || !strings.Contains(reason, "next hop") {
		t.Errorf("reason %q (-want +got)\n%s", reason, diff)
	}
}

// What one message leaves behind must not change the next.
func TestDecoderForgets(t *testing.T) {
	bodies := []message{
		{gone, base + gone6 + reach6 + "c0 08 04 00010002 c0 63 01 07", nlri},
		{"", base + "c0 08 01 00", nlri},
		{"", base, nlri},
		{gone, "", ""},
		{"", "80 0f 02 0002", ""},
		{"", base + "80 09 04 c00002ff", nlri},
		{"", "", ""},
	}
	shared, r := Decoder{Peer: testPeer}, Routes{}
	for i := range 3 * len(bodies) {
		body := bodies[i*5%len(bodies)].body(t)
		var fresh Routes
		wantErr := (&Decoder{Peer: testPeer}).Decode(body, &fresh)
		err := shared.Decode(body, &r)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%d: error %v; want %v", i, err, wantErr)
		}
		if err != nil {
			continue
		}
		same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
		if diff := cmp.Diff(append([]Part{}, fresh.Parts...), append([]Part{}, r.Parts...), same); diff != "" {
			t.Errorf("%d: parts (-want +got)\n%s", i, diff)
		}
		if diff := cmp.Diff(fresh.Rank, r.Rank); diff != "" || string(fresh.Attributes) != string(r.Attributes) || fresh.Reason != r.Reason {
			t.Errorf("%d: %q, want %q; rank (-want +got)\n%s", i, r.Reason, fresh.Reason, diff)
		}
	}
}
