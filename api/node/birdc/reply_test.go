package birdc

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// parsed is what all parsers make of one recorded answer.
type parsed struct {
	Error     string       `json:",omitzero"`
	Status    Status       `json:",omitzero"`
	Protocols []Protocol   `json:",omitempty"`
	BFD       []BFDSession `json:",omitempty"`
	Routes    []Route      `json:",omitempty"`
	Lines     []Line       `json:",omitempty"`
}

// parse gives an answer to every parser: each acts on codes of its own.
func parse(src io.Reader, limit int64) (out parsed) {
	p := &protocols{emit: func(p *Protocol) error {
		out.Protocols = append(out.Protocols, *p)
		return nil
	}}
	r := &routes{}
	var lines []Line
	err := newReader(src, limit).each("command", func(l Line) error {
		lines = append(lines, l)
		return errors.Join(p.line(l), r.line(l))
	})
	_ = p.flush()
	out.Status, out.BFD, out.Routes = parseStatus(lines), parseBFD(lines), r.found
	if out.Protocols == nil && out.BFD == nil && out.Routes == nil && out.Status.Version == "" {
		out.Lines = lines
	}
	if err != nil {
		out.Error = err.Error()
	}
	return out
}

// The answers in testdata were recorded from BIRD 2.0.12.
func TestRecordedReplies(t *testing.T) {
	files, err := filepath.Glob("testdata/*.reply")
	if err != nil || len(files) == 0 {
		t.Fatal("no recordings", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".reply"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(parse(bytes.NewReader(raw), 1<<20), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".reply") + ".json"
			if *update {
				if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimSpace(string(want)), string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestReader(t *testing.T) {
	long := strings.Repeat("x", 3*bufferSize)
	for name, test := range map[string]struct {
		in    string
		limit int64
		want  []Line
		err   error
		text  string // of the error
	}{
		"one line":             {in: "0003 Reconfigured\n", want: []Line{{3, "Reconfigured"}}},
		"continued":            {in: "1011-a\n b\n  c\n0013 d\n", want: []Line{{1011, "a"}, {1011, "b"}, {1011, " c"}, {13, "d"}}},
		"asynchronous":         {in: "+log line\n0000 \n", want: []Line{{0, ""}}},
		"longer than a buffer": {in: "1000-" + long + "\n0000 \n", want: []Line{{1000, long}, {0, ""}}},
		"cut":                  {in: "1000-a\n00", want: []Line{{1000, "a"}}, err: io.ErrUnexpectedEOF},
		"empty":                {in: "", err: io.ErrUnexpectedEOF},
		"too large":            {in: "1000-" + long + "\n0000 \n", limit: bufferSize, err: ErrTooLarge},
		"too many lines":       {in: strings.Repeat("1000-a\n", 100), limit: 15, want: []Line{{1000, "a"}, {1000, "a"}}, err: ErrTooLarge},
		"another protocol":     {in: "HTTP/1.1 400 Bad Request\n", text: "is no line of an answer"},
		"empty line":           {in: "\n", text: "is no line of an answer"},
		"error":                {in: "0002-Reading configuration from x\n8002 x:1:2 syntax error\n", want: []Line{{2, "Reading configuration from x"}}, text: "x:1:2 syntax error (code 8002)"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.limit == 0 {
				test.limit = 1 << 20
			}
			var got []Line
			err := newReader(strings.NewReader(test.in), test.limit).each("c", func(l Line) error {
				got = append(got, l)
				return nil
			})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if test.err != nil && !errors.Is(err, test.err) || test.text != "" && (err == nil || !strings.Contains(err.Error(), test.text)) ||
				test.err == nil && test.text == "" && err != nil {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestSince(t *testing.T) {
	for text, want := range map[string][2]string{
		"08:58:39.149  Established":               {"08:58:39.149", " Established"},
		"2026-11-21    Passive":                   {"2026-11-21", "   Passive"},
		"2026-11-21 08:58:39  Established":        {"2026-11-21 08:58:39", " Established"},
		"2026-11-21 08:58:39.149  Idle  Error: x": {"2026-11-21 08:58:39.149", " Idle  Error: x"},
		"2026-11-21": {"2026-11-21", ""},
		"":           {"", ""},
	} {
		first, rest := since(text)
		if got := [2]string{first, rest}; got != want {
			t.Errorf("since(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzReply(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.reply")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	const limit = 64 << 10
	f.Fuzz(func(t *testing.T, raw []byte) {
		src := bytes.NewReader(raw)
		_ = parse(src, limit)
		if read := len(raw) - src.Len(); read > limit+bufferSize {
			t.Errorf("read %d bytes beyond the limit", read)
		}
	})
}

// BenchmarkProtocols reads "show protocols all" of 5,000 sessions.
func BenchmarkProtocols(b *testing.B) {
	raw, err := os.ReadFile("testdata/protocols_all.reply")
	if err != nil {
		b.Fatal(err)
	}
	_, tail, _ := bytes.Cut(raw, []byte("1002-range4_1"))
	one, _, _ := bytes.Cut(tail, []byte("1002-range4_2"))
	var reply bytes.Buffer
	for i := range 5000 {
		fmt.Fprintf(&reply, "1002-range4_%d%s", i, one)
	}
	reply.WriteString("0000 \n")
	b.SetBytes(int64(reply.Len()))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		p := &protocols{emit: func(p *Protocol) error {
			if p.Established() {
				n++
			}
			return nil
		}}
		err := newReader(bytes.NewReader(reply.Bytes()), DefaultMaxReply).each("c", p.line)
		if err := errors.Join(err, p.flush()); err != nil || n != 5000 {
			b.Fatal(n, err)
		}
	}
}
