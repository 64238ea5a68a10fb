package bgp

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"syscall"
	"testing"
	"time"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// benchAttributes are those of a full table: 2 to 5 hops, MED, LOCAL_PREF and
// up to 5 communities.
func benchAttributes(r *rand.Rand) []byte {
	path := make([]uint32, 2+r.IntN(4))
	for i := range path {
		path[i] = 100000 + r.Uint32N(300000)
	}
	b := AppendASPath(AppendOrigin(nil, 0), path...)
	b = AppendNextHop(b, netip.AddrFrom4([4]byte{10, 255, 0, 1}))
	b = AppendLocalPref(AppendMED(b, 0), 100)
	communities := make([]uint32, r.IntN(6))
	for i := range communities {
		communities[i] = r.Uint32()
	}
	if len(communities) > 0 {
		b = AppendCommunities(b, communities...)
	}
	return b
}

func benchPrefix(r *rand.Rand) netip.Prefix {
	lengths := [...]int{24, 24, 24, 24, 24, 24, 23, 22, 21, 20, 19, 18, 16}
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], r.Uint32())
	return netip.PrefixFrom(netip.AddrFrom4(a), lengths[r.IntN(len(lengths))]).Masked()
}

func benchUpdate(r *rand.Rand, n int) []byte {
	var nlri []byte
	for range n {
		nlri = AppendPrefix(nlri, benchPrefix(r))
	}
	return AppendUpdate(nil, nil, benchAttributes(r), nlri)
}

// benchMix is like a full table: few routes in most messages, many in some,
// about 4.6 on average.
func benchMix(n int) (messages [][]byte, prefixes int) {
	r := rand.New(rand.NewPCG(3, 4))
	for range n {
		k := max(1, min(200, int(math.Pow(1-r.Float64(), -1/1.15))))
		messages = append(messages, benchUpdate(r, k))
		prefixes += k
	}
	return messages, prefixes
}

func benchUpdate6(r *rand.Rand, n int) []byte {
	attributes := AppendLocalPref(AppendASPath(AppendOrigin(nil, 0), 65001, 65002, 65003), 100)
	p, err := NewPacker(nil, IPv6Unicast, attributes, netip.MustParseAddr("2001:db8::1").AsSlice(), MaxMessage)
	if err != nil {
		panic(err)
	}
	for range n {
		p.Add6(0x2a00<<48|uint64(r.Uint32())<<16, 0, 48)
	}
	return p.Finish()
}

// cpuTime is what the process has used, garbage collection included: unlike
// the time on the wall it means something on a machine that others use too.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkDecode(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	mix, prefixes := benchMix(4096)
	sets := []struct {
		name     string
		messages [][]byte
		prefixes int
	}{
		{"mix", mix, prefixes},
		{"v4x1", [][]byte{benchUpdate(r, 1)}, 1},
		{"v4x200", [][]byte{benchUpdate(r, 200)}, 200},
		{"v6x10", [][]byte{benchUpdate6(r, 10)}, 10},
	}
	var d = Decoder{Peer: testPeer}
	var routes Routes
	codecs := []struct {
		name   string
		decode func([]byte) error
	}{
		{"own", func(m []byte) error { return d.Decode(m[HeaderLen:], &routes) }},
		{"gobgp", func(m []byte) error { _, err := gobgp.ParseBGPMessage(m); return err }},
	}
	for _, s := range sets {
		for _, c := range codecs {
			b.Run(s.name+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				i, start := 0, cpuTime(b)
				for b.Loop() {
					if err := c.decode(s.messages[i]); err != nil {
						b.Fatal(err)
					}
					if i++; i == len(s.messages) {
						i = 0
					}
				}
				perMessage := float64(s.prefixes) / float64(len(s.messages))
				b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N)/perMessage, "cpu-ns/prefix")
			})
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{4, 200} {
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchEncode(b, n) })
	}
}

func benchEncode(b *testing.B, n int) {
	r := rand.New(rand.NewPCG(5, 6))
	attributes := benchAttributes(r)
	var d = Decoder{Peer: testPeer}
	var routes Routes
	if err := d.Decode(AppendUpdate(nil, nil, attributes, []byte{0})[HeaderLen:], &routes); err != nil {
		b.Fatal(err)
	}
	canonical, hop := routes.Attributes, routes.Parts[0].NextHopBytes(nil)
	addrs, lengths := make([]uint32, n), make([]uint8, n)
	list := make([]gobgp.PathNLRI, n)
	for i := range n {
		p := benchPrefix(r)
		addrs[i], lengths[i] = addr32(p.Addr()), uint8(p.Bits())
		nlri, err := gobgp.NewIPAddrPrefix(p)
		if err != nil {
			b.Fatal(err)
		}
		list[i] = gobgp.PathNLRI{NLRI: nlri}
	}
	parsed, err := gobgp.ParseBGPMessage(AppendUpdate(nil, nil, attributes, nil))
	if err != nil {
		b.Fatal(err)
	}
	theirs := parsed.Body.(*gobgp.BGPUpdate).PathAttributes
	buf := make([]byte, 0, MaxMessage)
	codecs := []struct {
		name   string
		encode func() error
	}{
		{"own", func() error {
			p, err := NewPacker(buf[:0], IPv4Unicast, canonical, hop, MaxMessage)
			for i := range addrs {
				p.Add4(addrs[i], lengths[i])
			}
			buf = p.Finish()
			return err
		}},
		{"gobgp", func() error {
			_, err := gobgp.NewBGPUpdateMessage(nil, theirs, list).Serialize()
			return err
		}},
	}
	for _, c := range codecs {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			start := cpuTime(b)
			for b.Loop() {
				if err := c.encode(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N)/float64(n), "cpu-ns/prefix")
		})
	}
}
