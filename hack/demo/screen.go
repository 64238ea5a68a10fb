package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// screen prints for people: numbered steps, what is done and why, and a line
// of progress that is drawn over itself on a terminal.
type screen struct {
	out io.Writer
	// terminal tells whether out can draw over a line.
	terminal bool
	start    time.Time
	step     int
	// drawn tells whether a progress line stands at the cursor.
	drawn    bool
	lastDraw time.Time
}

// How often progress is shown: drawn over itself, or as lines of its own.
const (
	redrawEvery = 300 * time.Millisecond
	repeatEvery = 10 * time.Second
	barWidth    = 20
)

func (s *screen) line(format string, args ...any) {
	if s.drawn {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.drawn = false
	}
	fmt.Fprintf(s.out, format+"\n", args...)
	s.lastDraw = time.Now()
}

// title begins a step.
func (s *screen) title(what, why string) {
	s.step++
	s.line("\n[%3.0f s] %d. %s", time.Since(s.start).Seconds(), s.step, what)
	for _, part := range strings.Split(why, "\n") {
		s.line("          %s", part)
	}
}

func (s *screen) say(format string, args ...any) { s.line("        → "+format, args...) }

// progress shows how many sessions are up, now and then.
func (s *screen) progress(up, all, flapped int) {
	every := repeatEvery
	if s.terminal {
		every = redrawEvery
	}
	if time.Since(s.lastDraw) < every {
		return
	}
	s.lastDraw = time.Now()
	filled := 0
	if all > 0 {
		filled = up * barWidth / all
	}
	bar := strings.Repeat("█", filled) + strings.Repeat("░", barWidth-filled)
	text := fmt.Sprintf("[%3.0f s]    %s %d of %d sessions established, %d flapped in this step", time.Since(s.start).Seconds(), bar, up, all, flapped)
	if s.terminal {
		fmt.Fprint(s.out, "\r\x1b[K"+text)
		s.drawn = true
		return
	}
	fmt.Fprintln(s.out, text)
}
