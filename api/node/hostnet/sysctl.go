package hostnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/peerage/peerage/api/node"
)

const (
	procSys = "/proc/sys"
	// recordName is the file that keeps the original values.
	recordName = "sysctls.json"
	// maxRecord bounds what is read back.
	maxRecord = 1 << 20
)

// Sysctls sets kernel parameters and remembers what they were.
//
// A key is written as sysctl(8) takes it: "net.ipv4.vs.sloppy_tcp", or with
// slashes where a part contains a dot: "net/ipv4/conf/eth0.10/arp_ignore". As
// in sysctl.d(5), a minus before it says that the parameter may be missing.
type Sysctls struct {
	// Dir keeps the record of the original values. It must exist.
	Dir string
	// Root is /proc/sys when empty; tests set a directory of their own.
	Root string
	// HostID says which life of the kernel the values belong to; a record of
	// another one is void. Default: HostID().
	HostID string

	mu   sync.Mutex // guards the fields below; one Set or Restore at a time
	held map[string]string
}

// record is what the file holds.
type record struct {
	HostID string             `json:"host"`
	Values map[string]*change `json:"values"`
}

// change is one parameter that we changed.
type change struct {
	Original string `json:"original"`
	Ours     string `json:"ours"`
}

// Set makes the parameters have the values. Before the first change of a
// parameter its original value goes on disk. Drifted are the keys, sorted,
// that an earlier Set had given the same value and somebody changed since. One
// parameter that fails does not keep the others from being set.
func (s *Sysctls) Set(ctx context.Context, want map[string]string) (drifted []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	root, err := s.open()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	rec, err := s.load()
	if err != nil {
		return nil, err
	}
	var errs []error
	var todo []string
	recorded := false
	want, optional := sort(want)
	for _, key := range slices.Sorted(maps.Keys(want)) {
		value, err := read(root, key)
		if optional[key] && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ours := want[key]
		c := rec.Values[key]
		drift := s.held[key] == ours || c != nil && c.Ours == ours
		if value == ours {
			s.held[key] = ours
			continue
		}
		todo = append(todo, key)
		if drift {
			drifted = append(drifted, key)
		}
		if c == nil {
			c = &change{Original: value}
			rec.Values[key] = c
		}
		if c.Ours != ours {
			c.Ours, recorded = ours, true
		}
	}
	if recorded {
		// On disk before the kernel: a crash in between loses no original.
		if err := s.save(rec); err != nil {
			return nil, errors.Join(append(errs, err)...)
		}
	}
	for _, key := range todo {
		if err := errors.Join(ctx.Err(), write(root, key, want[key])); err != nil {
			errs = append(errs, err)
			continue
		}
		s.held[key] = want[key]
	}
	return drifted, errors.Join(errs...)
}

// sort brings keys and values into the form they are compared in, and tells
// which parameters may be missing.
func sort(want map[string]string) (values map[string]string, optional map[string]bool) {
	values, optional = make(map[string]string, len(want)), map[string]bool{}
	for key, value := range want {
		name, may := strings.CutPrefix(key, "-")
		values[name] = normal(value)
		optional[name] = may
	}
	return values, optional
}

// Restore puts back the original value of each parameter that still has the
// value we gave it, and forgets the record. What cannot be restored stays in
// the record.
func (s *Sysctls) Restore(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	root, err := s.open()
	if err != nil {
		return err
	}
	defer root.Close()
	rec, err := s.load()
	if err != nil {
		return err
	}
	clear(s.held)
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(rec.Values)) {
		value, err := read(root, key)
		if err == nil && value == rec.Values[key].Ours {
			err = errors.Join(ctx.Err(), write(root, key, rec.Values[key].Original))
		}
		// A parameter that is gone, with its device or module, needs nothing.
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
			continue
		}
		delete(rec.Values, key)
	}
	if len(rec.Values) > 0 {
		errs = append(errs, s.save(rec))
	} else if err := os.Remove(s.file()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *Sysctls) file() string { return filepath.Join(s.Dir, recordName) }

// open confines every access to the tree of parameters.
func (s *Sysctls) open() (*os.Root, error) {
	dir := s.Root
	if dir == "" {
		dir = procSys
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("sysctl: %w", err)
	}
	if s.held == nil {
		s.held = map[string]string{}
	}
	if s.HostID == "" {
		if s.HostID, err = HostID(); err != nil {
			return nil, errors.Join(err, root.Close())
		}
	}
	return root, nil
}

// load reads the record. One that is missing or of another life of the kernel
// is empty: the values of now are then the originals. One that cannot be read
// is an error, for the originals in it are wanted back.
func (s *Sysctls) load() (*record, error) {
	empty := &record{HostID: s.HostID, Values: map[string]*change{}}
	data, err := os.ReadFile(s.file())
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sysctl record: %w", err)
	}
	rec := &record{}
	if len(data) > maxRecord {
		err = errors.New("larger than any record")
	} else {
		err = json.Unmarshal(data, rec)
	}
	for _, c := range rec.Values {
		if c == nil && err == nil {
			err = errors.New("an entry is null")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("sysctl record %s: %w; delete the file to take the values of now for the original ones", s.file(), err)
	}
	if rec.HostID != s.HostID || rec.Values == nil {
		return empty, nil
	}
	return rec, nil
}

func (s *Sysctls) save(rec *record) error {
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return err
	}
	return node.WriteFileAtomic(s.file(), append(data, '\n'), 0o644)
}

func read(root *os.Root, key string) (string, error) {
	path, err := path(key)
	if err != nil {
		return "", err
	}
	data, err := root.ReadFile(path)
	if err != nil {
		return "", sysctlError(key, err)
	}
	return normal(string(data)), nil
}

func write(root *os.Root, key, value string) error {
	path, err := path(key)
	if err != nil {
		return err
	}
	// Not WriteFile: a parameter is never created.
	f, err := root.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return sysctlError(key, err)
	}
	_, err = f.WriteString(value + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("sysctl %s: set %q: %w", key, value, err)
	}
	return nil
}

func sysctlError(key string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("sysctl %s: the kernel has no such parameter; is its module loaded, is the kernel too old? %w", key, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("sysctl %s: %w; run as root, with /proc/sys writable", key, err)
	}
	return fmt.Errorf("sysctl %s: %w", key, err)
}

// path turns a key into a path below /proc/sys that cannot lead elsewhere.
func path(key string) (string, error) {
	separator := "."
	if strings.Contains(key, "/") {
		separator = "/"
	}
	parts := strings.Split(key, separator)
	for _, p := range parts {
		if p == "" || p == "." || p == ".." || strings.ContainsFunc(p, func(r rune) bool {
			return r <= ' ' || r > '~' || r == '/' || r == '\\'
		}) {
			return "", fmt.Errorf("sysctl %q: not a parameter's name; write it like net.ipv4.ip_forward", key)
		}
	}
	return filepath.Join(parts...), nil
}

// normal writes a value of several numbers with single blanks: the kernel
// separates them with tabs.
func normal(value string) string { return strings.Join(strings.Fields(value), " ") }
