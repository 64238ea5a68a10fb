package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Process is a program that is measured, with what it started.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the program has ended
	end  error         // how; set before done is closed
}

// Start starts a program in a process group of its own; what it prints goes to
// the file NAME.out in dir.
func Start(dir, name string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, log: filepath.Join(dir, name+".out"), done: make(chan struct{})}
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

// Alive is an error with the end of the output when the program has ended.
func (p *Process) Alive() error {
	select {
	case <-p.done:
		text, err := os.ReadFile(p.log)
		return errors.Join(fmt.Errorf("%s ended (%s): %s", p.cmd.Path, p.cmd.ProcessState, text[max(0, len(text)-500):]), p.end, err)
	default:
		return nil
	}
}

// patience is how long a program may take to end.
const patience = 20 * time.Second

// Stop ends the process group: first the program, which tells its children,
// and in the end whatever is left of it.
func (p *Process) Stop() error {
	group := -p.cmd.Process.Pid
	if err := syscall.Kill(group, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(patience):
	}
	if err := syscall.Kill(group, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	<-p.done
	return nil
}

// PID is the program's own.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Usage is what the program and its children have used and hold.
func (p *Process) Usage() (Usage, error) {
	pids, err := family(p.PID())
	if err != nil {
		return Usage{}, err
	}
	var sum Usage
	for _, pid := range pids {
		u, err := read(pid)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // a child that has just ended
		}
		if err != nil {
			return Usage{}, err
		}
		sum.add(u)
	}
	if sum.Processes == 0 {
		return Usage{}, errors.Join(fmt.Errorf("%s has no process any more", p.cmd.Path), p.Alive())
	}
	return sum, nil
}
