package api

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxFiles bounds a configuration directory.
const maxFiles = 10_000

// ParseFiles reads files, and directories recursively (*.yaml and *.yml in
// lexical order, nothing that begins with a dot), in the order of paths.
// Objects must be unique over all of them. The errors are those of Parse.
func ParseFiles(paths []string) ([]Object, error) {
	files, err := listFiles(paths)
	if err != nil {
		return nil, err
	}
	var docs []*document
	var errs []error
	for _, file := range files {
		data, err := readFile(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		d, failed := parse(file, data)
		docs, errs = append(docs, d...), append(errs, failed...)
	}
	return finish(docs, append(errs, duplicates(docs)...))
}

func listFiles(paths []string) ([]string, error) {
	if len(paths) == 0 {
		return nil, errors.New("no file given; name files or directories with *.yaml files")
	}
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		found, err := listDir(path)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	if len(files) > maxFiles {
		return nil, fmt.Errorf("%d files are more than the %d that are read at once; apply them in parts", len(files), maxFiles)
	}
	return files, nil
}

func listDir(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hiddenEntry := path != dir && strings.HasPrefix(d.Name(), ".")
		ext := filepath.Ext(path)
		switch {
		case d.IsDir() && hiddenEntry:
			return fs.SkipDir
		case d.IsDir() || hiddenEntry || ext != ".yaml" && ext != ".yml":
			return nil
		}
		files = append(files, path)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		// An empty directory is more likely a wrong path than an empty site.
		return nil, fmt.Errorf("directory %s holds no *.yaml or *.yml file; check the path", dir)
	}
	return files, nil
}

// readFile reads at most what Parse takes; a larger regular file is refused
// by its size alone.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, tooLarge(path, info.Size())
	}
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}
