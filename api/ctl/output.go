package ctl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// printer writes results in one format.
type printer struct {
	w      io.Writer
	format string
	colour bool
}

func newPrinter(env Env, format string) (*printer, error) {
	if !slices.Contains([]string{"table", "wide", "json", "yaml"}, format) {
		return nil, fmt.Errorf("output %q is not known; write table, wide, json or yaml", format)
	}
	return &printer{w: env.Stdout, format: format, colour: colourful(env)}, nil
}

// colourful tells whether colours would be seen and are wanted
// (https://no-color.org).
func colourful(env Env) bool {
	return env.Getenv("NO_COLOR") == "" && env.Getenv("TERM") != "dumb" && terminal(env.Stdout)
}

func terminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// machine tells whether a program reads the output.
func (p *printer) machine() bool { return p.format == "json" || p.format == "yaml" }

func (p *printer) wide() bool { return p.format == "wide" }

// value writes anything as JSON or YAML.
func (p *printer) value(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if p.format == "yaml" {
		text, err := toYAML(data)
		if err != nil {
			return err
		}
		_, err = p.w.Write(text)
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = p.w.Write(out.Bytes())
	return err
}

// line writes anything as JSON on one line, or as one YAML document.
func (p *printer) line(v any) error {
	if p.format == "yaml" {
		if _, err := io.WriteString(p.w, "---\n"); err != nil {
			return err
		}
		return p.value(v)
	}
	return json.NewEncoder(p.w).Encode(v)
}

// toYAML turns JSON into YAML with the keys in the same order.
func toYAML(data []byte) ([]byte, error) {
	var n yaml.Node
	if err := yaml.Unmarshal(data, &n); err != nil {
		return nil, err
	}
	block(&n)
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(&n); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}

// block takes JSON's style off, except for empty collections.
func block(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode || len(n.Content) > 0 {
		n.Style = 0
	}
	for _, c := range n.Content {
		block(c)
	}
}

// printf writes text.
func (p *printer) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(p.w, format, args...) // a reader that is gone ends the program by signal
}

// The colours, by what they mean.
const (
	red    = "31"
	yellow = "33"
	green  = "32"
	faint  = "2"
	bold   = "1"
)

// paint colours a text.
func (p *printer) paint(colour, text string) string {
	if !p.colour || colour == "" || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// cell is one field of a table.
type cell struct{ text, colour string }

// table collects rows and prints them with aligned columns.
type table struct {
	head []string
	rows [][]cell
}

// add appends a row; a string is a cell without colour.
func (t *table) add(fields ...any) {
	row := make([]cell, len(fields))
	for i, f := range fields {
		switch f := f.(type) {
		case cell:
			row[i] = f
		default:
			row[i] = cell{text: fmt.Sprint(f)}
		}
		if row[i].text == "" {
			row[i].text = "-"
		}
	}
	t.rows = append(t.rows, row)
}

// print writes the table. Nothing is written behind the last column.
func (p *printer) print(t *table) {
	width := make([]int, len(t.head))
	for i, h := range t.head {
		width[i] = utf8.RuneCountInString(h)
	}
	for _, row := range t.rows {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c.text))
		}
	}
	head := make([]cell, len(t.head))
	for i, h := range t.head {
		head[i] = cell{h, bold}
	}
	for _, row := range append([][]cell{head}, t.rows...) {
		var b strings.Builder
		for i, c := range row {
			b.WriteString(p.paint(c.colour, c.text))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		p.printf("%s\n", b.String())
	}
}

// columns leaves out of each row the columns that only -o wide shows.
func (p *printer) columns(t *table, wide ...string) *table {
	if p.wide() {
		return t
	}
	out := &table{}
	var keep []int
	for i, h := range t.head {
		if !slices.Contains(wide, h) {
			keep = append(keep, i)
			out.head = append(out.head, h)
		}
	}
	for _, row := range t.rows {
		var next []cell
		for _, i := range keep {
			next = append(next, row[i])
		}
		out.rows = append(out.rows, next)
	}
	return out
}
