package swarm

import (
	"bytes"
	"encoding/json"
	"image/png"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const second = Seconds(time.Second)

func sampleRecords() []Record {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	return []Record{
		{State: Established, Server: a, Silence: 30 * second, Announced: 5},
		{State: Established, Server: a, Flaps: 2, FlapCause: "RST from the peer", Outages: []Outage{{3 * second, second}, {9 * second, 2 * second}}, Moves: 1},
		{State: Established, Server: b, Failures: 3, FailureCause: "connection refused"},
		{State: Down, Flaps: 1, FlapCause: "FIN from the peer", DownSince: 15 * second, Failures: 1, FailureCause: "connection refused", Server: b},
		{State: Connecting},
	}
}

func TestSummaryIsStableJSON(t *testing.T) {
	sum := Summarize(sampleRecords(), 0, 20*second)
	got, err := json.MarshalIndent(sum, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/summary.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var again Summary
	if err := json.Unmarshal(got, &again); err != nil || again.Outage != sum.Outage {
		t.Errorf("reads back as %+v, %v", again, err)
	}
}

func TestReportForPeople(t *testing.T) {
	r := Report{Summary: Summarize(sampleRecords(), 0, 20*second), outages: []Seconds{second, 2 * second, 5 * second}}
	r.Phases = []PhaseReport{{Name: "hold", Kind: "hold", To: 5 * second, Summary: r.Summary, Failed: `phase "hold": interrupted`}}
	var b bytes.Buffer
	if err := r.Write(&b, "table"); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/report.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRecordIsBounded(t *testing.T) {
	var r Record
	const flaps = 200
	for i := range Seconds(flaps) {
		r.change(4*i+1, Connecting, "")
		r.change(4*i+2, Established, "")
		r.change(4*i+3, Down, "RST from the peer")
	}
	if r.Flaps != flaps || r.Ups != flaps || r.Failures != 0 || len(r.History) != maxHistory || len(r.Outages) != maxOutages || r.Forgotten != 3*flaps-maxHistory {
		t.Errorf("%d flaps, %d failures, %d changes, %d outages, %d forgotten", r.Flaps, r.Failures, len(r.History), len(r.Outages), r.Forgotten)
	}
	if last := r.Outages[maxOutages-1]; last != (Outage{4*(flaps-2) + 3, 3}) {
		t.Errorf("last outage is %+v", last)
	}
	r.end(1000, "stopped")
	if r.Flaps != flaps || r.Failures != 0 {
		t.Error("the end counts")
	}
	r.answeredBy(netip.MustParseAddr("10.0.0.1"))
	r.answeredBy(netip.MustParseAddr("10.0.0.1"))
	r.answeredBy(netip.MustParseAddr("10.0.0.2"))
	if r.Moves != 1 {
		t.Errorf("%d moves", r.Moves)
	}
}

func TestQuantiles(t *testing.T) {
	var ds []Seconds
	for i := range 1000 {
		ds = append(ds, Seconds(1000-i))
	}
	if q := quantiles(ds); q != (Quantiles{1000, 500, 990, 1000}) {
		t.Errorf("%+v", q)
	}
	if q := quantiles([]Seconds{7}); q != (Quantiles{1, 7, 7, 7}) {
		t.Errorf("%+v", q)
	}
}

// TestChanceIsWhatDiceGive compares the formulas with throws.
func TestChanceIsWhatDiceGive(t *testing.T) {
	const balls, bins, rounds = 2000, 4, 400
	var most, cv float64
	for round := range uint64(rounds) {
		counts := map[netip.Addr]int{}
		for i := range uint64(balls) {
			counts[netip.AddrFrom4([4]byte{10, 0, 0, byte(random(round, i, 0) * bins)})]++
		}
		d := distribution(counts)
		most, cv = most+d.MaxOverMean, cv+d.CV
	}
	even := map[netip.Addr]int{}
	for i := range bins {
		even[netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})] = balls / bins
	}
	want := distribution(even)
	if math.Abs(most/rounds-want.ChanceMaxOverMean) > 0.005 || math.Abs(cv/rounds-want.ChanceCV) > 0.005 {
		t.Errorf("thrown: max/mean %.3f, CV %.3f; computed: %.3f, %.3f", most/rounds, cv/rounds, want.ChanceMaxOverMean, want.ChanceCV)
	}
}

func TestHistogram(t *testing.T) {
	h := NewHistogram([]Seconds{0, Seconds(125 * time.Millisecond), Seconds(126 * time.Millisecond), second, 3 * second, 1000 * second})
	if diff := cmp.Diff([]int{2, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1}, h.Counts); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	dir := t.TempDir()
	for _, name := range []string{"h.svg", "h.png", "h.txt"} {
		path := filepath.Join(dir, name)
		if err := h.writeFile(path); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		switch name {
		case "h.png":
			img, err := png.Decode(bytes.NewReader(b))
			if err != nil || img.Bounds().Dx() != 720 {
				t.Errorf("PNG: %v", err)
			}
		case "h.svg":
			if !strings.HasPrefix(string(b), "<svg") || strings.Count(string(b), "<rect") != 13 {
				t.Errorf("SVG: %.200s", b)
			}
		default:
			if !strings.Contains(string(b), "  125ms        2") {
				t.Errorf("text: %s", b)
			}
		}
	}
	if histogramName("h.gif") == nil || histogramName("") != nil {
		t.Error("names are checked the wrong way")
	}
}

func TestExpectations(t *testing.T) {
	sum := Summarize(sampleRecords(), 0, 20*second)
	for text, want := range map[string]string{
		"flapped==2": "", "flaps == 3": "", "outage.p99<3s": "expected outage.p99<3s, but outage.p99 is 5s",
		"established>=4": "expected established>=4, but established is 3", "outage.count==3": "", "silence.max<=30s": "",
		"servers!=2": "expected servers!=2, but servers is 2", "servers.max_over_mean<1.34": "", "self.lag<1s": "",
	} {
		e, err := ParseExpectation(text)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := e.Check(&sum); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"flapped":       "write METRIC OPERATOR VALUE",
		"outage.p99<3":  "not a duration",
		"flapped==none": "not a number",
		"flapp==0":      `metric "flapp" is not known; the metrics are acked, announced, `,
		"flapped=0":     "write METRIC OPERATOR VALUE",
	} {
		if _, err := ParseExpectation(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v", text, err)
		}
	}
}
