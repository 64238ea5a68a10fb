package swarm

import (
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"strconv"
)

// WritePNG draws the histogram as a PNG file.
func (h *Histogram) WritePNG(w io.Writer) error {
	const width, height, left, bottom, step = 720, 360, 20, 40, 56
	img := image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{color.White, color.Black, color.RGBA{0x33, 0x66, 0xaa, 0xff}})
	bars := image.NewUniform(img.Palette[2])
	most := h.max()
	for i, n := range h.Counts {
		tall := n * (height - bottom - 50) / most
		x := left + i*step
		draw.Draw(img, image.Rect(x, height-bottom-tall, x+step-8, height-bottom), bars, image.Point{}, draw.Src)
		drawText(img, x+step/2-4, height-bottom-tall-14, strconv.Itoa(n))
		drawText(img, x+step/2-4, height-bottom+8, h.label(i))
	}
	return png.Encode(w, img)
}

// glyphs are 3×5 dots each, by rows from the top, the highest bit at the left:
// enough to write the labels of a histogram without a font library.
func glyph(r rune) [5]byte {
	switch r {
	case '0':
		return [5]byte{7, 5, 5, 5, 7}
	case '1':
		return [5]byte{2, 6, 2, 2, 7}
	case '2':
		return [5]byte{7, 1, 7, 4, 7}
	case '3':
		return [5]byte{7, 1, 3, 1, 7}
	case '4':
		return [5]byte{5, 5, 7, 1, 1}
	case '5':
		return [5]byte{7, 4, 7, 1, 7}
	case '6':
		return [5]byte{7, 4, 7, 5, 7}
	case '7':
		return [5]byte{7, 1, 2, 2, 2}
	case '8':
		return [5]byte{7, 5, 7, 5, 7}
	case '9':
		return [5]byte{7, 5, 7, 1, 7}
	case '.':
		return [5]byte{0, 0, 0, 0, 2}
	case 'm':
		return [5]byte{0, 7, 7, 5, 5}
	case 's':
		return [5]byte{0, 3, 6, 3, 6}
	case 'o':
		return [5]byte{0, 2, 5, 5, 2}
	case 'r':
		return [5]byte{0, 6, 5, 4, 4}
	case 'e':
		return [5]byte{2, 5, 7, 4, 3}
	}
	return [5]byte{}
}

// drawText writes text with its middle at x, each dot two pixels wide.
func drawText(img *image.Paletted, x, y int, text string) {
	const dot, advance = 2, 8
	x -= len(text) * advance / 2
	for _, r := range text {
		for row, bits := range glyph(r) {
			for column := range 3 {
				if bits>>(2-column)&1 == 0 {
					continue
				}
				for i := range dot * dot {
					img.SetColorIndex(x+column*dot+i%dot, y+row*dot+i/dot, 1)
				}
			}
		}
		x += advance
	}
}
