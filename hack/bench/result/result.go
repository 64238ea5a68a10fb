// Package result is what the benchmarks' reports share: where they ran, how
// they are kept, and the few sums that all of them make.
package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Report is what a benchmark measured.
type Report interface {
	// Markdown is the report for people.
	Markdown(io.Writer) error
}

// Save writes the report to NAME.json and NAME.md in dir. JSON is indented: it
// is kept in the repository and read in diffs.
func Save(dir, name string, r Report) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	var md bytes.Buffer
	if err := r.Markdown(&md); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, name+".json"), append(text, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, name+".md"), md.Bytes(), 0o644))
}

// Ratio says how many times more theirs is than ours, or nothing when that
// means nothing.
func Ratio(theirs, ours float64) string {
	if theirs <= 0 || ours <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f×", theirs/ours)
}

// Median is the middle value, the lower of two; 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(values))[(len(values)-1)/2]
}

// Kernel is the release of the running kernel.
func Kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
