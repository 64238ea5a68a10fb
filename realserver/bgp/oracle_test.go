package bgp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// verdict is what a codec makes of an UPDATE.
type verdict struct {
	class  string // keep, withdraw or reset (RFC 7606)
	routes view   // of class keep
}

// view is what both codecs can tell of the routes, in the same words.
type view struct {
	Withdrawn, Announced []string
	Path                 Description // without what only one of them tells
}

// oraclePeer never sees a loop, which GoBGP's codec does not look for.
func oraclePeer(internal, fourOctet bool) Peer {
	return Peer{Internal: internal, FourOctetAS: fourOctet, LocalAS: 4294967295, AS: 65001, Families: testPeer.Families}
}

func ownVerdict(t *testing.T, peer Peer, body []byte) verdict {
	t.Helper()
	var r Routes
	err := (&Decoder{Peer: peer}).Decode(body, &r)
	switch {
	case err != nil:
		return verdict{class: "reset"}
	case r.Action == TreatAsWithdraw:
		return verdict{class: "withdraw"}
	}
	v := verdict{"keep", view{Path: Describe(r.Attributes)}}
	for _, p := range r.Parts {
		for _, prefix := range collect(t, p.Family.AFI, p.Withdrawn) {
			v.routes.Withdrawn = append(v.routes.Withdrawn, prefix.String())
		}
		for _, prefix := range collect(t, p.Family.AFI, p.Announced) {
			v.routes.Announced = append(v.routes.Announced, prefix.String()+" via "+p.NextHop.String())
		}
	}
	v.routes.normalize()
	return v
}

func (v *view) normalize() {
	slices.Sort(v.Withdrawn)
	slices.Sort(v.Announced)
	v.Path.Unknown = nil // GoBGP knows more types than this package
	v.Path.ExtendedCommunities = nil
	slices.Sort(v.Path.LargeCommunities)
	if len(v.Announced) == 0 {
		v.Path = Description{}
	}
}

// theirVerdict decodes and validates. GoBGP's session machine does not validate
// what it could not decode without error; here both stages have their say.
func theirVerdict(peer Peer, body []byte) verdict {
	header := &gobgp.BGPHeader{Type: gobgp.BGP_MSG_UPDATE, Len: uint16(HeaderLen + len(body))}
	m, err := gobgp.ParseBGPBody(header, slices.Clone(body), &gobgp.MarshallingOption{Use2ByteAS: !peer.FourOctetAS, ExtendedMessage: true})
	class := theirClass(err)
	if class == "reset" {
		return verdict{class: class}
	}
	u := m.Body.(*gobgp.BGPUpdate)
	if second := theirValidation(peer, u); second == "reset" || class == "keep" {
		class = second
	}
	if class != "keep" {
		return verdict{class: class}
	}
	return verdict{class, theirView(peer, u)}
}

func theirValidation(peer Peer, u *gobgp.BGPUpdate) (class string) {
	defer func() {
		if recover() != nil {
			class = "keep" // half-decoded attributes are not meant to be validated
		}
	}()
	families := map[gobgp.Family]gobgp.BGPAddPathMode{gobgp.RF_IPv4_UC: 0, gobgp.RF_IPv6_UC: 0}
	_, err := gobgp.ValidateUpdateMsg(u, families, !peer.Internal, false, true)
	return theirClass(err)
}

func theirClass(err error) string {
	var e *gobgp.MessageError
	if !errors.As(err, &e) {
		return "keep"
	}
	switch e.ErrorHandling {
	case gobgp.ERROR_HANDLING_NONE, gobgp.ERROR_HANDLING_ATTRIBUTE_DISCARD:
		return "keep"
	case gobgp.ERROR_HANDLING_TREAT_AS_WITHDRAW:
		return "withdraw"
	}
	return "reset"
}

func theirView(peer Peer, u *gobgp.BGPUpdate) view {
	var v view
	hop := ""
	for _, a := range u.PathAttributes {
		switch a := a.(type) {
		case *gobgp.PathAttributeNextHop:
			hop = a.Value.String()
		case *gobgp.PathAttributeMpUnreachNLRI:
			v.Withdrawn = append(v.Withdrawn, theirPrefixes(a.Value, "")...)
		case *gobgp.PathAttributeMpReachNLRI:
			v.Announced = append(v.Announced, theirPrefixes(a.Value, " via "+a.Nexthop.String())...)
		default:
			theirAttribute(&v.Path, a)
		}
	}
	v.Withdrawn = append(v.Withdrawn, theirPrefixes(u.WithdrawnRoutes, "")...)
	v.Announced = append(v.Announced, theirPrefixes(u.NLRI, " via "+hop)...)
	// What GoBGP does outside of its codec.
	if !peer.Internal {
		v.Path.LocalPref, v.Path.OriginatorID, v.Path.ClusterList = nil, "", nil
	} else if v.Path.LocalPref == nil {
		v.Path.LocalPref = new(uint32(DefaultLocalPref))
	}
	v.normalize()
	return v
}

func theirAttribute(d *Description, a gobgp.PathAttributeInterface) {
	switch a := a.(type) {
	case *gobgp.PathAttributeOrigin:
		d.Origin = originName(a.Value)
	case *gobgp.PathAttributeAsPath:
		d.ASPath = theirPath(a)
	case *gobgp.PathAttributeMultiExitDisc:
		d.MED = &a.Value
	case *gobgp.PathAttributeLocalPref:
		d.LocalPref = &a.Value
	case *gobgp.PathAttributeAtomicAggregate:
		d.AtomicAggregate = true
	case *gobgp.PathAttributeAggregator:
		d.Aggregator = fmt.Sprintf("%d %s", a.Value.AS, a.Value.Address)
	case *gobgp.PathAttributeCommunities:
		for _, c := range a.Value {
			d.Communities = append(d.Communities, Community(c).String())
		}
	case *gobgp.PathAttributeLargeCommunities:
		for _, c := range a.Values {
			d.LargeCommunities = append(d.LargeCommunities, fmt.Sprintf("%d:%d:%d", c.ASN, c.LocalData1, c.LocalData2))
		}
	case *gobgp.PathAttributeOriginatorId:
		d.OriginatorID = a.Value.String()
	case *gobgp.PathAttributeClusterList:
		for _, id := range a.Value {
			d.ClusterList = append(d.ClusterList, id.String())
		}
	}
}

// theirPath goes back to bytes and through FormatPath: GoBGP's own way to
// write a path differs.
func theirPath(a *gobgp.PathAttributeAsPath) string {
	var v []byte
	for _, p := range a.Value {
		v = append(v, p.GetType(), byte(len(p.GetAS())))
		for _, as := range p.GetAS() {
			v = binary.BigEndian.AppendUint32(v, as)
		}
	}
	return FormatPath(v)
}

func theirPrefixes(list []gobgp.PathNLRI, suffix string) (all []string) {
	for _, n := range list {
		p := netip.MustParsePrefix(n.NLRI.String())
		all = append(all, p.Masked().String()+suffix)
	}
	return all
}

// compare fails when the two codecs differ in a way that the table of
// differences does not know. It returns the name of the difference.
func compare(t *testing.T, peer Peer, body []byte) string {
	t.Helper()
	own, their := ownVerdict(t, peer, body), theirVerdict(peer, body)
	diff := ""
	switch {
	case own.class != their.class:
		diff = fmt.Sprintf("own %s, GoBGP %s", own.class, their.class)
	case own.class == "keep":
		if !peer.FourOctetAS {
			// GoBGP merges AS4_PATH outside of its codec.
			own.routes.Path, their.routes.Path = Description{}, Description{}
		}
		diff = cmp.Diff(their.routes, own.routes)
	}
	if diff == "" {
		return ""
	}
	f := look(body)
	for _, d := range differences {
		if strings.Contains(d.own, own.class) && strings.Contains(d.their, their.class) && d.when(peer, f) {
			return d.name
		}
	}
	t.Errorf("internal %v, 4-octet %v: %x\n%s", peer.Internal, peer.FourOctetAS, body, diff)
	return "unknown"
}

// mutate makes an UPDATE that is wrong in one to three places.
func mutate(r *rand.Rand, seeds [][]byte) []byte {
	u, err := DecodeUpdate(seeds[r.IntN(len(seeds))])
	if err != nil {
		panic(err)
	}
	w, n := slices.Clone(u.Withdrawn), slices.Clone(u.NLRI)
	var list []Attribute
	for a, err := range Attributes(u.Attributes) {
		if err == nil {
			list = append(list, Attribute{a.Flags, a.Type, slices.Clone(a.Value)})
		}
	}
	for range 1 + r.IntN(3) {
		list = mutateList(r, list)
	}
	var attributes []byte
	for _, a := range list {
		attributes = AppendAttribute(attributes, a.Flags, a.Type, a.Value)
	}
	switch r.IntN(12) {
	case 0:
		flip(r, attributes)
	case 1:
		flip(r, w)
	case 2:
		flip(r, n)
	case 3:
		attributes = attributes[:len(attributes)-min(len(attributes), r.IntN(4))]
	case 4:
		n = nil
	}
	return AppendUpdate(nil, w, attributes, n)[HeaderLen:]
}

func flip(r *rand.Rand, b []byte) {
	if len(b) > 0 {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	}
}

func mutateList(r *rand.Rand, list []Attribute) []Attribute {
	if len(list) == 0 {
		return append(list, Attribute{transitive, AttrType(r.IntN(40)), []byte{0, 0, 0, 1}})
	}
	i, j := r.IntN(len(list)), r.IntN(len(list))
	a := &list[i]
	switch r.IntN(10) {
	case 0:
		flip(r, a.Value)
	case 1:
		a.Flags ^= 1 << (5 + r.IntN(3))
	case 2:
		a.Value = a.Value[:len(a.Value)-min(len(a.Value), 1+r.IntN(4))]
	case 3:
		a.Value = append(a.Value, byte(r.IntN(256)))
	case 4:
		return slices.Insert(list, j, Attribute{a.Flags, a.Type, slices.Clone(a.Value)})
	case 5:
		return slices.Delete(list, i, i+1)
	case 6:
		list[i], list[j] = list[j], list[i]
	case 7:
		return slices.Insert(list, j, Attribute{[...]byte{0x40, 0x80, 0xc0}[r.IntN(3)], AttrType(40 + r.IntN(60)), []byte{byte(r.IntN(256))}})
	case 8:
		a.Value = nil
	case 9:
		a.Type = list[j].Type
	}
	return list
}

// Two codecs, written by people who did not know of each other, must agree on
// what is malformed and on the routes of what is not.
func TestOracle(t *testing.T) {
	const rounds = 40000
	r := rand.New(rand.NewPCG(7606, 6793))
	four, two := oracleSeeds(t)
	found := map[string]int{}
	for i := range rounds {
		seeds := four
		if i%4 == 0 {
			seeds = two
		}
		name := compare(t, oraclePeer(r.IntN(2) == 0, i%4 != 0), mutate(r, seeds))
		if found[name]++; found["unknown"] > 10 {
			t.Fatal("too many differences")
		}
	}
	t.Logf("of %d: %v", rounds, found)
	if found[""] < rounds/2 {
		t.Errorf("only %d of %d are the same to both", found[""], rounds)
	}
}

// Each difference in the table is real.
func TestDifferences(t *testing.T) {
	for _, d := range differences {
		t.Run(d.name, func(t *testing.T) {
			if got := compare(t, d.peer, d.example.body(t)); got != d.name {
				t.Errorf("the example shows %q", got)
			}
		})
	}
}

// oracleSeeds are valid UPDATEs of peers with 4-octet and 2-octet numbers.
func oracleSeeds(t testing.TB) (four, two [][]byte) {
	t.Helper()
	rest := hop + "80 04 04 00000007" + pref + "40 06 00 c0 08 08 fde9 0064 ffff 029a" +
		"80 09 04 01020304 80 0a 08 01010101 02020202 c0 10 08 0002 fde9 00000064 c0 20 0c 00010001 00000002 00000003 e0 63 02 0708"
	all := origin + path + rest + "c0 07 08 00010001 c0000201"
	path2 := "40 02 08 02 03 fde9 5ba0 0001 "
	for _, m := range []message{
		{"", base, nlri}, {gone, base, nlri + "00 20 01020304 0a 0a40"}, {"", all, nlri}, {gone, "", ""}, {"", gone6, ""},
		{"", reach6 + origin + path + pref, ""}, {gone, gone6 + reach6 + all, nlri}, {"", base + reach6, nlri},
		{"", "80 0e 2a 0002 01 20 " + hop6 + local6 + " 00 " + nlri6 + " " + origin + path + pref, ""},
		{"", origin + "40 02 1a 02 02 00000001 0000ffff 01 02 00000005 00010006 02 01 00000007" + hop + pref, nlri},
	} {
		four = append(four, m.body(t))
	}
	for _, m := range []message{
		{"", origin + path2 + hop + pref, nlri}, {"", origin + path2 + rest + "c0 07 06 fde9 c0000201", nlri},
		{"", origin + path2 + hop + pref + "c0 07 06 5ba0 c0000201 c0 11 0e 02 03 0000fde9 00010001 00000001 c0 12 08 00010001 c0000201", nlri},
		{"", reach6 + origin + path2 + pref + "c0 11 0a 02 02 00010001 00000001", ""},
	} {
		two = append(two, m.body(t))
	}
	return four, two
}
