package lab

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// netnsDir is where ip-netns(8) looks for names.
const netnsDir = "/run/netns"

// onThread runs fn on an operating-system thread of its own, which is thrown
// away afterwards: whatever namespace it entered goes with it.
func onThread(fn func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			// The main thread stays where it is: it cannot end, and where it is,
			// the process is seen to be. While it is held another one is taken.
			defer runtime.UnlockOSThread()
			done <- onThread(fn)
			return
		}
		done <- fn()
	}()
	return <-done
}

// In runs fn inside a node's network namespace. Processes that fn starts are
// in it too. /proc/thread-self/net, not /proc/net, shows the namespace.
func In(node string, fn func() error) error {
	return onThread(func() error {
		f, err := os.Open(path.Join(netnsDir, node))
		if err != nil {
			return fmt.Errorf("node %s is not running: %w", node, err)
		}
		err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
		f.Close()
		if err != nil {
			return fmt.Errorf("enter the namespace of %s: %w", node, err)
		}
		return fn()
	})
}

// createNetns makes a named network namespace and sets sysctls in it.
func createNetns(name string, sysctls map[string]string) error {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return err
	}
	file := path.Join(netnsDir, name)
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	f.Close()
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("create namespace %s: %w", name, err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", file, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("create namespace %s: %w", name, err)
		}
		for _, key := range slices.Sorted(maps.Keys(sysctls)) {
			// A kernel that does not know a key does not have what it tames.
			err := os.WriteFile("/proc/sys/"+strings.ReplaceAll(key, ".", "/"), []byte(sysctls[key]), 0)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("namespace %s: sysctl %s: %w", name, key, err)
			}
		}
		return nil
	})
}

// deleteNetns removes a named namespace; with its last process it is gone.
func deleteNetns(name string) error {
	file := path.Join(netnsDir, name)
	if err := unix.Unmount(file, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("delete namespace %s: %w", name, err)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// netnsPIDs lists the processes inside a namespace.
func netnsPIDs(name string) ([]int, error) {
	var want unix.Stat_t
	if err := unix.Stat(path.Join(netnsDir, name), &want); err != nil {
		return nil, fmt.Errorf("node %s is not running: %w", name, err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		var got unix.Stat_t
		if unix.Stat("/proc/"+e.Name()+"/ns/net", &got) == nil && got.Ino == want.Ino && got.Dev == want.Dev {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// ipBatch runs an ip -batch script, in a namespace or (empty) outside of all.
func ipBatch(node, script string) error {
	run := func() error {
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(script)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("ip -batch on %s: %w: %s", cmp.Or(node, "the host"), err, bytes.TrimSpace(stderr.Bytes()))
		}
		return nil
	}
	if node == "" {
		return run()
	}
	return In(node, run)
}
