package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program that is measured, with what it started.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the program has ended
	end  error         // how; set before done is closed
}

// usage is what a process has used and holds.
type usage struct {
	cpu              time.Duration
	anonKiB, peakKiB int
}

// startProcess starts a program in a process group of its own; what it prints
// goes to a file.
func startProcess(dir, name string, cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, log: filepath.Join(dir, name+".out"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.end = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// alive is an error with the end of the output when the program has ended.
func (p *process) alive() error {
	select {
	case <-p.done:
		text, err := os.ReadFile(p.log)
		return errors.Join(fmt.Errorf("%s ended (%s): %s", p.cmd.Path, p.cmd.ProcessState, text[max(0, len(text)-500):]), p.end, err)
	default:
		return nil
	}
}

// stop ends the process group.
func (p *process) stop() error {
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
	return nil
}

// usage reads /proc. No contender has more than one process.
func (p *process) usage() (u usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return u, err
	}
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const ticks = 100 // USER_HZ
	for _, field := range []int{11, 12} {
		n, err := strconv.ParseInt(f[field], 10, 64)
		if err != nil {
			return u, err
		}
		u.cpu += time.Duration(n) * time.Second / ticks
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		switch name {
		case "RssAnon":
			u.anonKiB = n
		case "VmHWM":
			u.peakKiB = n
		}
	}
	return u, nil
}
