//go:build linux

package bench

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/peerage/peerage/hack/bench/result"
)

// bencher runs benchmarks.
type bencher struct {
	bin    string
	rounds int
	note   string
	// servers and lbs are the sizes of site that are measured.
	servers, lbs []int
}

// Main is the command: -bench NAME, -rounds N, and so on.
func Main(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("peerage-bench", flag.ContinueOnError)
	name := fs.String("bench", "", "change-to-kernel or no-op; both when empty")
	rounds := fs.Int("rounds", 30, "measurements for each size of site")
	note := fs.String("note", "", "what a reader of the report must know of the run, such as what else the machine did")
	servers := fs.String("servers", "1,16,64,256", "numbers of real servers")
	lbs := fs.String("lbs", "1,4", "numbers of load balancers")
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin := fs.String("bin", filepath.Dir(self), "folder of the compiled programs")
	if err := fs.Parse(args); err != nil {
		return err
	}
	b := &bencher{bin: *bin, rounds: *rounds, note: *note}
	if b.servers, err = numbers(*servers); err != nil {
		return err
	}
	if b.lbs, err = numbers(*lbs); err != nil {
		return err
	}
	names := []string{"change-to-kernel", "no-op"}
	if *name != "" {
		names = []string{*name}
	}
	for _, name := range names {
		if err := b.one(ctx, name, out); err != nil {
			return err
		}
	}
	return nil
}

// numbers reads "1,16,64".
func numbers(list string) ([]int, error) {
	var all []int
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("%q is not a list of numbers such as 1,16,64", list)
		}
		all = append(all, n)
	}
	return all, nil
}

func (b *bencher) one(ctx context.Context, name string, out io.Writer) error {
	r := &Report{Bench: name, At: time.Now().UTC().Truncate(time.Second), Kernel: result.Kernel(), Mode: os.Getenv("PEERAGE_LAB_MODE"), CPUs: runtime.NumCPU(), Note: b.note}
	switch name {
	case "change-to-kernel":
		for _, lbs := range b.lbs {
			for _, servers := range b.servers {
				c, err := b.change(ctx, servers, lbs)
				if err != nil {
					return err
				}
				if err := c.progress(out); err != nil {
					return err
				}
				r.Change = append(r.Change, c)
			}
		}
	case "no-op":
		var err error
		if r.Noop, err = b.noop(ctx); err != nil {
			return err
		}
	default:
		return fmt.Errorf("benchmark %q is not known; there are change-to-kernel and no-op", name)
	}
	return r.write(os.Getenv("LAB_OUT"), out)
}

// write keeps the report as JSON and Markdown, and prints the latter.
func (r *Report) write(dir string, out io.Writer) error {
	if err := result.Save(dir, r.Bench, r); err != nil {
		return err
	}
	fmt.Fprintln(out)
	return r.Markdown(out)
}
