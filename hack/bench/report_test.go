package bench

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	ms := func(all ...int) []time.Duration {
		var d []time.Duration
		for _, m := range all {
			d = append(d, time.Duration(m)*time.Millisecond)
		}
		return d
	}
	r := &Report{
		Bench: "change-to-kernel", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Kernel: "6.1.0", Mode: "vm", CPUs: 2,
		Change: []Change{newChange(64, 4, ms(20, 10, 30, 40), ms(100, 200, 300, 400))},
		Noop:   &Noop{Services: 64, Destinations: 64, Rounds: 3, RoundMS: 12.5, CPUMS: 20, Syscalls: 140},
	}
	var b bytes.Buffer
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	want := `# change-to-kernel

2026-01-02, kernel 6.1.0, in an emulated guest (milliseconds are upper bounds), 2 CPUs.

From the API's acceptance of a depool until the last LB's kernel shows it; keepalived: from the
edit of its file, which a SIGHUP follows. Both check the servers' health at the same interval.

| real servers | LBs | Peerage p50 / p99 ms | keepalived p50 / p99 ms | ratio p50 / p99 | n |
|---|---|---|---|---|---|
| 64 | 4 | 20.0 / 40.0 | 200.0 / 400.0 | 10.0 / 10.0 | 4, 4 |

A round over 64 services × 64 destinations that finds nothing to do: 12.5 ms, 20.0 ms of CPU, 140 system calls (mean of 3).
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestStraceSummary(t *testing.T) {
	// As strace 6.1 -c wrote it.
	text := `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ------------------
 62.50    0.000500          12        40         3 futex
 37.50    0.000300           5        60           sendto
------ ----------- ----------- --------- --------- ------------------
100.00    0.000800           8       100         3 total
`
	total, byName := straceSummary(text)
	if diff := cmp.Diff(map[string]int{"futex": 40, "sendto": 60}, byName); diff != "" || total != 100 {
		t.Errorf("total %d %s", total, diff)
	}
}
