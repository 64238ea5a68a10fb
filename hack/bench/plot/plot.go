// Package plot draws lines through a few measured points as SVG, for documents
// that are read in a browser or on a code host.
package plot

import (
	"fmt"
	"html"
	"io"
	"math"
)

// Chart is one picture.
type Chart struct {
	Title, X, Y string
	Lines       []Line
}

// Line is one series of points, in the order of X.
type Line struct {
	Name   string
	Points []Point
}

// Point is one measurement.
type Point struct{ X, Y float64 }

const (
	width, height           = 640, 360
	left, right             = 70, 20
	top, bottom             = 40, 50
	ticks                   = 5
	plotWidth, plotHeight   = width - left - right, height - top - bottom
	legendStep, legendInset = 18, 12
)

// colors are told apart by people who do not see red and green, and in grey.
func color(i int) string {
	colors := []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"}
	return colors[i%len(colors)]
}

// WriteSVG draws the chart; both axes begin at 0, so that what is linear looks
// so and what is small beside something else looks small.
func (c *Chart) WriteSVG(w io.Writer) error {
	maxX, maxY := c.extent()
	x := func(v float64) float64 { return left + v/maxX*plotWidth }
	y := func(v float64) float64 { return top + plotHeight - v/maxY*plotHeight }
	b := fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<title>%s</title>
<rect width="100%%" height="100%%" fill="#ffffff"/>
<text x="%d" y="22" font-size="14">%s</text>
<text x="%d" y="%d" text-anchor="middle">%s</text>
<text x="16" y="%d" text-anchor="middle" transform="rotate(-90 16 %d)">%s</text>
`, width, height, html.EscapeString(c.Title), left, html.EscapeString(c.Title), left+plotWidth/2, height-10, html.EscapeString(c.X),
		top+plotHeight/2, top+plotHeight/2, html.EscapeString(c.Y))
	for i := range ticks + 1 {
		vx, vy := maxX*float64(i)/ticks, maxY*float64(i)/ticks
		b = fmt.Appendf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#dddddd"/>
<text x="%d" y="%.1f" text-anchor="end">%s</text>
<text x="%.1f" y="%d" text-anchor="middle">%s</text>
`, left, y(vy), width-right, y(vy), left-6, y(vy)+4, short(vy), x(vx), height-bottom+18, short(vx))
	}
	for i, l := range c.Lines {
		b = fmt.Appendf(b, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, color(i))
		for _, p := range l.Points {
			b = fmt.Appendf(b, "%.1f,%.1f ", x(p.X), y(p.Y))
		}
		b = append(b, "\"/>\n"...)
		for _, p := range l.Points {
			b = fmt.Appendf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x(p.X), y(p.Y), color(i))
		}
		b = fmt.Appendf(b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", left+legendInset, top+legendInset+i*legendStep, color(i), html.EscapeString(l.Name))
	}
	_, err := w.Write(append(b, "</svg>\n"...))
	return err
}

// extent is where the axes end: a round number above all points.
func (c *Chart) extent() (x, y float64) {
	for _, l := range c.Lines {
		for _, p := range l.Points {
			x, y = math.Max(x, p.X), math.Max(y, p.Y)
		}
	}
	return ceil(x), ceil(y)
}

// ceil rounds up to 1, 2, 2.5, 4, 5 or 8 times a power of ten.
func ceil(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 2.5, 4, 5, 8} {
		if v <= f*unit {
			return f * unit
		}
	}
	return 10 * unit
}

// short writes a number of an axis.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.3gk", v/1e3)
	}
	return fmt.Sprintf("%.3g", v)
}
