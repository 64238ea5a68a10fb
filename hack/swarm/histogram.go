package swarm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// Histogram counts outages in powers of two from 125 ms on.
type Histogram struct {
	// Counts has one number per bin; the last bin is open.
	Counts []int
	Total  int
}

const (
	firstBin = 125 * time.Millisecond
	binCount = 12
)

// NewHistogram sorts outages into bins.
func NewHistogram(outages []Seconds) *Histogram {
	h := &Histogram{Counts: make([]int, binCount), Total: len(outages)}
	for _, d := range outages {
		i := 0
		for limit := firstBin; time.Duration(d) > limit && i < binCount-1; limit *= 2 {
			i++
		}
		h.Counts[i]++
	}
	return h
}

// label names a bin by its upper end.
func (h *Histogram) label(i int) string {
	if i == len(h.Counts)-1 {
		return "more"
	}
	return (firstBin << i).String()
}

func (h *Histogram) max() int {
	most := 1
	for _, n := range h.Counts {
		most = max(most, n)
	}
	return most
}

// WriteText draws the histogram with characters.
func (h *Histogram) WriteText(w io.Writer) error {
	if h.Total == 0 {
		_, err := fmt.Fprintln(w, "no outages")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "up to\toutages\t\t")
	for i, n := range h.Counts {
		fmt.Fprintf(t, "%s\t%d\t\t%s\n", h.label(i), n, bar(n, h.Total))
	}
	return t.Flush()
}

// WriteSVG draws the histogram as an SVG file.
func (h *Histogram) WriteSVG(w io.Writer) error {
	const width, height, left, bottom, step = 720, 360, 20, 40, 56
	most := h.max()
	out := fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<title>Outages of %d</title>
<rect width="100%%" height="100%%" fill="#ffffff"/>
<text x="%d" y="20">outages: %d</text>
`, width, height, h.Total, left, h.Total)
	for i, n := range h.Counts {
		tall := n * (height - bottom - 50) / most
		x := left + i*step
		out = fmt.Appendf(out, `<rect x="%d" y="%d" width="%d" height="%d" fill="#3366aa"/>
<text x="%d" y="%d" text-anchor="middle">%d</text>
<text x="%d" y="%d" text-anchor="middle">%s</text>
`, x, height-bottom-tall, step-8, tall, x+step/2-4, height-bottom-tall-4, n, x+step/2-4, height-bottom+18, h.label(i))
	}
	out = append(out, "</svg>\n"...)
	_, err := w.Write(out)
	return err
}

// histogramName checks the name of a file for a histogram.
func histogramName(path string) error {
	switch filepath.Ext(path) {
	case ".svg", ".png", ".txt":
		return nil
	case "":
		if path == "" {
			return nil
		}
	}
	return fmt.Errorf("histogram file %q: the name must end in .svg, .png or .txt", path)
}

// writeFile writes the histogram in the format of the file's name.
func (h *Histogram) writeFile(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	switch filepath.Ext(path) {
	case ".svg":
		err = h.WriteSVG(f)
	case ".png":
		err = h.WritePNG(f)
	default:
		err = h.WriteText(f)
	}
	return errors.Join(err, f.Close())
}
