package bird

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/peerage/peerage/api/node/birdc"
)

// includeLine matches an include directive of BIRD's.
var includeLine = regexp.MustCompile(`(?m)^(\s*include\s+")([^"]+)("\s*;)`)

// maxMessage bounds what is kept of BIRD's complaint.
const maxMessage = 1 << 10

// check lets BIRD's own parser read the whole configuration with the new file
// in the place of the old one. Nothing that runs, and nothing that BIRD would
// read at a start, is touched.
func (s *Speaker) check(ctx context.Context, r Rendered) error {
	if err := Included(s.o.MainConfig, s.o.Include); err != nil {
		return err
	}
	main, err := os.ReadFile(s.o.MainConfig)
	if err != nil {
		return fmt.Errorf("bird: the main configuration: %w", err)
	}
	candidate, err := hidden(s.o.Include, r.Text)
	if err != nil {
		return fmt.Errorf("bird include: %w", err)
	}
	defer os.Remove(candidate)
	text, _ := substitute(string(main), s.o.MainConfig, s.o.Include, candidate)
	whole, err := hidden(s.o.MainConfig, []byte(text))
	if err != nil {
		return fmt.Errorf("bird: the main configuration: %w", err)
	}
	defer os.Remove(whole)

	err = birdc.Check(ctx, s.o.Binary, whole)
	var refusal *birdc.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("bird: the configuration cannot be checked: %w; name the program with --bird-binary", err)
	case !errors.As(err, &refusal):
		return fmt.Errorf("bird: the configuration cannot be checked: %w", err)
	}
	message := strings.NewReplacer(candidate, s.o.Include, whole, s.o.MainConfig).Replace(refusal.Message)
	return fmt.Errorf("%w: %.*s", ErrRefused, maxMessage, scrub(message, r.Secrets))
}

// substitute replaces the include of our file, be it named or matched by a
// pattern, by the candidate. A pattern stays for what else it matches: BIRD's
// glob passes over our hidden file, and the old one is excluded by name.
func substitute(main, mainPath, include, candidate string) (text string, found bool) {
	text = includeLine.ReplaceAllStringFunc(main, func(line string) string {
		m := includeLine.FindStringSubmatch(line)
		path := m[2]
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(mainPath), path)
		}
		if filepath.Clean(path) == filepath.Clean(include) {
			found = true
			return m[1] + candidate + m[3]
		}
		if ok, _ := filepath.Match(path, include); !ok {
			return line
		}
		found = true
		lines := []string{m[1] + candidate + m[3]}
		matches, _ := filepath.Glob(path)
		for _, other := range matches {
			if filepath.Clean(other) != filepath.Clean(include) && !strings.HasPrefix(filepath.Base(other), ".") {
				lines = append(lines, m[1]+other+m[3])
			}
		}
		return strings.Join(lines, "\n")
	})
	return text, found
}

// hidden writes a file beside path that no pattern of BIRD's matches.
func hidden(path string, data []byte) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".peerage-check-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// replace puts the file there in one step, readable for the group at every
// moment: BIRD may read it whenever somebody asks it to.
func replace(path string, data []byte, group string) error {
	name, err := hidden(path, data)
	if err != nil {
		return err
	}
	defer os.Remove(name) // after the rename there is nothing to remove
	mode := fs.FileMode(0o600)
	if gid, ok := groupID(group); ok && os.Chown(name, -1, gid) == nil {
		mode = 0o640
	}
	if err := os.Chmod(name, mode); err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	if err = errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func groupID(name string) (int, bool) {
	if name == "" {
		return 0, false
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	gid, err := strconv.Atoi(g.Gid)
	return gid, err == nil
}

// Included tells whether BIRD's main configuration includes our file, and what
// to write when it does not.
func Included(mainConfig, include string) error {
	main, err := os.ReadFile(mainConfig)
	if err != nil {
		return fmt.Errorf("bird: the main configuration: %w; name it with --bird-config", err)
	}
	if _, found := substitute(string(main), mainConfig, include, include); !found {
		return fmt.Errorf("bird: %s does not include %s; add the line `include \"%[2]s\";`", mainConfig, include)
	}
	return nil
}
