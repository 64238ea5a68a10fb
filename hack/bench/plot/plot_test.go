package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestWriteSVG(t *testing.T) {
	c := Chart{Title: "CPU < time", X: "routes", Y: "s", Lines: []Line{
		{"one", []Point{{100_000, 1}, {800_000, 8}}},
		{"two & more", []Point{{100_000, 0.1}, {800_000, 0.7}}},
	}}
	var b bytes.Buffer
	if err := c.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	// The corner of the axes is the last point of the steeper line.
	for _, want := range []string{"138.8,276.2 620.0,40.0", "CPU &lt; time", "two &amp; more", ">800k<"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestCeil(t *testing.T) {
	for _, c := range []struct{ v, want float64 }{{0, 1}, {1, 1}, {1.1, 2}, {2.2, 2.5}, {7, 8}, {8.1, 10}, {0.03, 0.04}, {51_000, 80_000}} {
		if got := ceil(c.v); got < c.want*0.999 || got > c.want*1.001 {
			t.Errorf("ceil(%v) = %v, want %v", c.v, got, c.want)
		}
	}
}
