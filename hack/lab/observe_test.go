package lab

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/hack/lab/router"
)

// As BIRD 2.0.12 wrote it.
const birdLog = `2026-11-21 08:41:16.374 <TRACE> vip: Starting
2026-11-21 08:41:16.374 <INFO> Started
2026-11-21 08:41:17.423 <TRACE> vip: Connected
2026-11-21 08:41:17.439 <TRACE> vip: BGP session established
2026-11-21 08:41:17.439 <TRACE> vip: State changed to up
2026-11-21 08:41:34.414 <RMT> vip: Received: Administrative shutdown
2026-11-21 08:41:34.414 <TRACE> vip: BGP session closed
2026-11-21 08:41:34.414 <TRACE> vip: State changed to stop
2026-11-21 08:41:34.419 <TRACE> vip: Connect delayed by 1 seconds
2026-11-21 08:41:35.227 <TRACE> vip: Connection lost (Connection reset by peer)
2026-11-21 08:41:36.175 <TRACE> vip: Connected
2026-11-21 08:41:36.181 <TRACE> vip: BGP session established
2026-11-21 08:41:36.181 <TRACE> vip: State changed to up
2026-11-21 08:41:40.202 <RMT> vip: Error: Hold timer expired
2026-11-21 08:41:40.202 <TRACE> vip: BGP session clo`

func at8h41(t *testing.T, clock string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04:05.000", "2026-11-21 08:41:"+clock, time.Local)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestParseLog(t *testing.T) {
	changes, rest := ParseLog(birdLog, router.BIRD.Router().Read)
	want := []Change{
		{At: at8h41(t, "17.439"), Up: true},
		{At: at8h41(t, "34.414"), Why: "Received: Administrative shutdown"},
		{At: at8h41(t, "36.181"), Up: true},
	}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Error(diff)
	}
	if tail := birdLog[rest:]; tail != "2026-11-21 08:41:40.202 <TRACE> vip: BGP session clo" {
		t.Errorf("left over: %q", tail)
	}

	s := Session{Changes: changes}
	if got := len(s.Flaps(at8h41(t, "20.000"))); got != 1 {
		t.Errorf("%d flaps since :20, want 1", got)
	}
	if got := len(s.Flaps(at8h41(t, "35.000"))); got != 0 {
		t.Errorf("%d flaps since :35, want 0", got)
	}
}

func TestEstablishedPeer(t *testing.T) {
	for name, test := range map[string]struct {
		line string
		want string
	}{
		"IPv4":         {"   2: B37100CB:00B3 0501400A:9C42 01 00000000:00000000 00:00000000 00000000 0 0 5321 1", "10.64.1.5:40002"},
		"IPv6":         {"   0: B80D01200000790100000000790100 00:00B3 x", ""},
		"IPv6 whole":   {"   0: B80D0120000079010000000079010000:00B3 000064FD000000000000000001010100:A1B3 01 0:0 00:0 0", "[fd64::1:101]:41395"},
		"other port":   {"   2: B37100CB:01BB 0501400A:9C42 01 00000000:00000000", ""},
		"listening":    {"   1: B37100CB:00B3 00000000:0000 0A 00000000:00000000", ""},
		"header":       {"  sl  local_address rem_address   st tx_queue rx_queue", ""},
		"not hex":      {"   2: B37100CB:00B3 0501400Z:9C42 01 0", ""},
		"empty":        {"", ""},
		"mapped to v4": {"   2: 0000000000000000FFFF0000B37100CB:00B3 0000000000000000FFFF00000501400A:9C42 01 0", "10.64.1.5:40002"},
	} {
		t.Run(name, func(t *testing.T) {
			addr, ok := establishedPeer(test.line, 179)
			if got := addr.String(); ok != (test.want != "") || ok && got != test.want {
				t.Errorf("got %s %t, want %q", got, ok, test.want)
			}
		})
	}
}

// The kernel lists a connection again when one before it began between two
// reads. A second connection of the same router is another matter.
func TestEstablishedPeers(t *testing.T) {
	text := `  sl  local_address rem_address   st tx_queue rx_queue
   0: B37100CB:00B3 0501400A:9C42 01 00000000:00000000
   1: B37100CB:00B3 0601400A:9C42 01 00000000:00000000
   2: B37100CB:00B3 0501400A:9C42 01 00000000:00000000
   3: B37100CB:00B3 0601400A:9C43 01 00000000:00000000
`
	var got []string
	for _, peer := range establishedPeers(text, 179) {
		got = append(got, peer.String())
	}
	want := []string{"10.64.1.5:40002", "10.64.1.6:40002", "10.64.1.6:40003"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTable(t *testing.T) {
	dump := `-A -f 1 -s rr
-A -t 203.0.113.179:179 -s mh -b mh-fallback
-a -t 203.0.113.179:179 -r 10.0.1.1:179 -g -w 1
-a -t 203.0.113.179:179 -r 10.0.1.2:179 -g -w 0
-A -t 192.0.2.9:80 -s rr
-A -t [2001:db8:179::179]:179 -s mh -b mh-fallback
-a -t [2001:db8:179::179]:179 -r [fd00::101]:179 -g -w 1
-a -t [2001:db8:179::179]:179 -r [fd00::102]:179 -g -w 0
`
	table := FilterTable(dump, []netip.Addr{netip.MustParseAddr("203.0.113.179"), netip.MustParseAddr("2001:db8:179::179")})
	want := `-A -t 203.0.113.179:179 -s mh -b mh-fallback
-a -t 203.0.113.179:179 -r 10.0.1.1:179 -g -w 1
-a -t 203.0.113.179:179 -r 10.0.1.2:179 -g -w 0
-A -t [2001:db8:179::179]:179 -s mh -b mh-fallback
-a -t [2001:db8:179::179]:179 -r [fd00::101]:179 -g -w 1
-a -t [2001:db8:179::179]:179 -r [fd00::102]:179 -g -w 0
`
	if diff := cmp.Diff(want, table); diff != "" {
		t.Error(diff)
	}
	servers := DefaultTopology().RealServerNodes()
	if diff := cmp.Diff([]int{1, 1}, Weights(table, servers[0])); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{0, 0}, Weights(table, servers[1])); diff != "" {
		t.Error(diff)
	}
}

func TestKernelTable(t *testing.T) {
	proc := `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  [2001:0db8:0179:0000:0000:0000:0000:0179]:00B3 mh 
  -> [fd00:0000:0000:0000:0000:0000:0000:0102]:00B3      Route   0      3          0         
  -> [fd00:0000:0000:0000:0000:0000:0000:0101]:00B3      Route   1      3          0         
FWM  00000001 rr  
  -> 0A000109:0000      Route   1      0          0         
TCP  CB0071B3:00B3 mh  
  -> 0A000102:00B3      Route   1      2          0         
  -> 0A000101:00B3      Route   1      1          0         
`
	want := `203.0.113.179:179 mh
  10.0.1.1:179 Route 1
  10.0.1.2:179 Route 1
[2001:db8:179::179]:179 mh
  [fd00::101]:179 Route 1
  [fd00::102]:179 Route 0
`
	got := KernelTable(proc, DefaultTopology().Pool.VIPs)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWatchWeight(t *testing.T) {
	proc := []byte(`TCP  [2001:0db8:0179:0000:0000:0000:0000:0179]:00B3 mh 
  -> [fd00:0000:0000:0000:0000:0000:0000:0102]:00B3      Route   0      3          0         
  -> [fd00:0000:0000:0000:0000:0000:0000:0101]:00B3      Route   1      3          0         
TCP  CB0071B3:00B3 mh  
  -> 0A000102:00B3      Route   0      2          0         
  -> 0A000101:00B3      Route   0      1          0         
`)
	topology := DefaultTopology()
	servers := topology.RealServerNodes()
	for i, want := range []map[int]bool{{0: false, 1: false}, {0: true, 1: false}, {0: false, 1: false}} {
		for weight, seen := range want {
			if got := topology.watchWeight(servers[i], weight).in(proc); got != seen {
				t.Errorf("%s at weight %d: got %t", servers[i].Name, weight, got)
			}
		}
	}
}
