package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is one program of a node.
type Process struct {
	Name string
	// Argv is empty for a process that another one starts and that the lab
	// only finds and kills, by its pid file.
	Argv []string
	// Env is added to the environment.
	Env []string
	// PIDFile is where the process id is found; default NAME.pid in the
	// node's folder.
	PIDFile string
	// Ready is a file that the process makes when it is ready, if it makes one.
	Ready string
	// After are commands that are run when it is ready, each until it works: a
	// program may make its socket before it listens to reason.
	After [][]string
	// BootID gives the process the node's own boot id in place of the kernel's.
	BootID bool
}

// pidFile is where the process id of a process is found.
func (p Process) pidFile(n Node) string {
	if p.PIDFile != "" {
		return p.PIDFile
	}
	return n.File(p.Name + ".pid")
}

// PID is the process id of a running process of a node, or 0.
func PID(n Node, p Process) int {
	text, err := os.ReadFile(p.pidFile(n))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || !alive(n.Name, pid) {
		return 0
	}
	return pid
}

// alive tells whether a process runs, and in the node's namespace: a pid file
// may outlive its process, and the number may be given again.
func alive(node string, pid int) bool {
	proc := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return false
	}
	if _, state, ok := strings.Cut(string(stat), ") "); !ok || strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X") {
		return false
	}
	var want, got unix.Stat_t
	return unix.Stat(path.Join(netnsDir, node), &want) == nil &&
		unix.Stat(proc+"/ns/net", &got) == nil && want.Ino == got.Ino
}

// children waits for what this process started, so that none stays a zombie.
type children struct{ wg sync.WaitGroup }

// start starts a process of a node: in its namespace, output appended to
// NAME.log in its folder, detached from the terminal.
func (c *children) start(ctx context.Context, n Node, p Process) error {
	if pid := PID(n, p); pid != 0 {
		return fmt.Errorf("%s/%s runs already, as process %d", n.Name, p.Name, pid)
	}
	log, err := os.OpenFile(n.File(p.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	if p.Ready != "" {
		_ = os.Remove(p.Ready) // of a process that was killed
	}
	argv := p.Argv
	if p.BootID {
		script := `mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"`
		argv = append([]string{"/bin/sh", "-c", script, n.File("boot_id")}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Dir = n.Dir()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if p.BootID {
		cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	}
	if err := In(n.Name, cmd.Start); err != nil {
		return fmt.Errorf("start %s/%s: %w", n.Name, p.Name, err)
	}
	c.wg.Go(func() { _ = cmd.Wait() })
	if err := os.WriteFile(p.pidFile(n), []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o644); err != nil {
		return err
	}
	if err := p.ready(ctx, n); err != nil {
		return err
	}
	return p.after(ctx, n)
}

// after runs what is to be run when a process is ready.
func (p Process) after(ctx context.Context, n Node) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, argv := range p.After {
		var out []byte
		var err error
		if waitErr := poll(ctx, 100*time.Millisecond, func() bool {
			err = In(n.Name, func() (err error) {
				out, err = exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
				return err
			})
			return err == nil
		}); waitErr != nil {
			return fmt.Errorf("start %s/%s: %s: %w: %s", n.Name, p.Name, argv[0], errors.Join(waitErr, err), tail(string(out), 5))
		}
	}
	return nil
}

// ready waits for a process that was started.
func (p Process) ready(ctx context.Context, n Node) error {
	if p.Ready == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ended := false
	err := poll(ctx, 20*time.Millisecond, func() bool {
		ended = PID(n, p) == 0
		_, err := os.Stat(p.Ready)
		return err == nil || ended
	})
	if ended {
		err = errors.New("it ended at once")
	}
	if err != nil {
		text, _ := os.ReadFile(n.File(p.Name + ".log"))
		return fmt.Errorf("start %s/%s: %w: %s", n.Name, p.Name, err, tail(string(text), 5))
	}
	return nil
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	all := strings.SplitAfter(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "")
}

// signal sends a signal to a process of a node and waits until it is gone,
// when gone is set.
func signal(ctx context.Context, n Node, p Process, sig syscall.Signal, gone bool) error {
	pid := PID(n, p)
	if pid == 0 {
		return fmt.Errorf("%s/%s does not run", n.Name, p.Name)
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%s to %s/%s: %w", sig, n.Name, p.Name, err)
	}
	if !gone {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := poll(ctx, 20*time.Millisecond, func() bool { return !alive(n.Name, pid) }); err != nil {
		return fmt.Errorf("%s/%s (process %d) does not end after %s: %w", n.Name, p.Name, pid, sig, err)
	}
	return nil
}

// poll waits until ok holds.
func poll(ctx context.Context, every time.Duration, ok func() bool) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
