package bgp

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what was decoded of testdata/captured")

// What other engines say, byte by byte as it came from the network, is read
// as their configuration says, and GoBGP's codec reads the same.
func TestCaptured(t *testing.T) {
	files, err := filepath.Glob("testdata/captured/*.bin")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d captured streams, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".bin")
		t.Run(filepath.Base(name), func(t *testing.T) {
			stream, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := tellStream(t, stream)
			if *update {
				if err := os.WriteFile(name+".txt", got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// tellStream tells in words what a peer says, from its OPEN on.
func tellStream(t *testing.T, stream []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var d Decoder
	for len(stream) > 0 {
		m, n, err := Next(stream, MaxExtendedMessage)
		if err != nil || n == 0 {
			t.Fatalf("%d bytes left: %v", len(stream), err)
		}
		stream = stream[n:]
		fmt.Fprintf(&out, "%s of %d bytes\n", m.Type, n)
		switch m.Type {
		case TypeOpen:
			o, err := DecodeOpen(m.Body)
			if err != nil {
				t.Fatal(err)
			}
			_, four := o.Capability(CapFourOctetAS)
			d.Peer = Peer{FourOctetAS: four, Internal: o.AS == 65000, LocalAS: 65000, AS: o.AS, Families: Families(o.Families()...)}
			fmt.Fprintf(&out, "\tAS %d, %s, hold time %s\n", o.AS, o.Identifier, o.HoldTime)
			for _, c := range o.Capabilities {
				fmt.Fprintf(&out, "\t%s\n", c)
			}
		case TypeUpdate:
			tellUpdate(t, &out, &d, m.Body)
			peer := d.Peer
			peer.LocalAS = 4294967295
			if name := compare(t, peer, m.Body); name != "" {
				t.Errorf("GoBGP reads it otherwise: %s", name)
			}
		case TypeKeepalive, TypeNotification, TypeRouteRefresh:
		}
	}
	return out.Bytes()
}

func tellUpdate(t *testing.T, out *bytes.Buffer, d *Decoder, body []byte) {
	t.Helper()
	var r Routes
	if err := d.Decode(body, &r); err != nil {
		t.Fatal(err)
	}
	if r.Action != None || r.Loop || r.Ignored {
		fmt.Fprintf(out, "\t%s, loop %v, ignored %v: %s\n", r.Action, r.Loop, r.Ignored, r.Reason)
	}
	if f, ok := r.EndOfRIB(); ok {
		fmt.Fprintf(out, "\tEnd-of-RIB of %s\n", f)
	}
	for _, p := range r.Parts {
		for _, prefix := range collect(t, p.Family.AFI, p.Withdrawn) {
			fmt.Fprintf(out, "\twithdrawn %s\n", prefix)
		}
		routes := collect(t, p.Family.AFI, p.Announced)
		if len(routes) > 20 {
			fmt.Fprintf(out, "\t%d routes, from %s to %s, via %s\n", len(routes), routes[0], routes[len(routes)-1], p.NextHop)
			continue
		}
		for _, prefix := range routes {
			fmt.Fprintf(out, "\t%s via %s\n", prefix, p.NextHop)
		}
	}
	if r.Attributes != nil {
		fmt.Fprintf(out, "\t%s\n\t%+v\n", tellSet(t, r.Attributes), r.Rank)
	}
}

// tellSet leaves out what is not set.
func tellSet(t *testing.T, canonical []byte) []byte {
	t.Helper()
	text, err := json.Marshal(Describe(canonical))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(fields, func(name string, v any) bool { return v == nil || v == false || v == "" && name != "ASPath" })
	if text, err = json.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	return text
}
