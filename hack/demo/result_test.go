package demo

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestResult(t *testing.T) {
	r := &Result{
		OK: true, Sessions: 3, Flapped: map[string]int{"depool": 0, "pool": 0, "lb_kill": 1},
		ApplyMS: Quantiles{12.5, 30}, ApplyMSByLB: map[string][]float64{"lb-1": {12.5, 30}, "lb-2": {11}},
		FailoverMS: 700, Servers: map[string]Count{"rs-1": {1, 1}, "rs-2": {2, 2}}, Seconds: 90,
	}
	text, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"ok":true,"sessions":3,"flapped":{"depool":0,"lb_kill":1,"pool":0},"apply_ms":{"p50":12.5,"p99":30},` +
		`"apply_ms_by_lb":{"lb-1":[12.5,30],"lb-2":[11]},"failover_ms":700,"servers":{"rs-1":{"before":1,"after":1},"rs-2":{"before":2,"after":2}},"seconds":90}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}

	var b bytes.Buffer
	if err := r.Table(&b); err != nil {
		t.Fatal(err)
	}
	wantTable := `
real server   sessions before   after
rs-1          1                 1
rs-2          2                 2

step      sessions that flapped
depool    0
pool      0
lb kill   1
lb back   not reached

load balancer   time to apply depool, pool (ms)
lb-1            12.5, 30.0
lb-2            11.0

`
	if diff := cmp.Diff(wantTable, b.String()); diff != "" {
		t.Error(diff)
	}
}
