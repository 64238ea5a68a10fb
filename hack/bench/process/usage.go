package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what processes have used and hold.
type Usage struct {
	// User and System are processor time outside and inside of the kernel.
	User, System time.Duration
	// ResidentKiB is all resident memory, AnonKiB what of it no file backs,
	// PeakKiB the most that was ever resident.
	ResidentKiB, AnonKiB, PeakKiB int64
	Threads                       int
	Processes                     int
}

// CPU is all processor time.
func (u Usage) CPU() time.Duration { return u.User + u.System }

func (u *Usage) add(v Usage) {
	u.User += v.User
	u.System += v.System
	u.ResidentKiB += v.ResidentKiB
	u.AnonKiB += v.AnonKiB
	u.PeakKiB += v.PeakKiB
	u.Threads += v.Threads
	u.Processes += v.Processes
}

// afterName splits what follows the name in /proc/PID/stat, which may hold
// anything: the first field is the state.
func afterName(stat []byte) []string {
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
}

// family lists a process and all that descend from it.
func family(root int) ([]int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, path := range paths {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		parent, err := strconv.Atoi(afterName(stat)[1])
		if err != nil {
			return nil, err
		}
		children[parent] = append(children[parent], pid)
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// tick is what /proc counts processor time in: 1/USER_HZ s.
const tick = time.Second / 100

// Machine is how long all processors together have been busy since the start.
func Machine() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal ...
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	var sum time.Duration
	for _, i := range []int{1, 2, 3, 6, 7} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// read weighs one process.
func read(pid int) (u Usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	for i, into := range []*time.Duration{&u.User, &u.System} {
		n, err := strconv.ParseInt(afterName(stat)[11+i], 10, 64)
		if err != nil {
			return u, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		*into = time.Duration(n) * tick
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	u.Processes = 1
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			u.ResidentKiB = n
		case "RssAnon":
			u.AnonKiB = n
		case "VmHWM":
			u.PeakKiB = n
		case "Threads":
			u.Threads = int(n)
		}
	}
	return u, nil
}
