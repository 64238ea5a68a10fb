package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// maxFile bounds one text before it is parsed; a site of thousands of
	// objects is well below it.
	maxFile = 1 << 20
	// maxDocuments bounds the objects of one text.
	maxDocuments = 10_000
	// maxErrors bounds what is reported of one text: the first are enough.
	maxErrors = 100
)

// Parse reads the configuration objects of a YAML (or JSON) text with any
// number of documents. Each has its defaults and is valid in itself; what
// concerns several is ValidateSite's. The error joins one *FieldError for
// everything that is wrong; name is the file name in them.
func Parse(name string, data []byte) ([]Object, error) {
	docs, errs := parse(name, data)
	errs = append(errs, duplicates(docs)...)
	return finish(docs, errs)
}

func finish(docs []*document, errs []error) ([]Object, error) {
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	objects := make([]Object, 0, len(docs))
	for _, d := range docs {
		objects = append(objects, d.object)
	}
	return objects, nil
}

func parse(name string, data []byte) ([]*document, []error) {
	if len(data) > maxFile {
		return nil, []error{tooLarge(name, int64(len(data)))}
	}
	var docs []*document
	var errs []error
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var root yaml.Node
		err := decoder.Decode(&root)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			errs = append(errs, YAMLError(name, err))
			break
		}
		doc, failed := decode(name, &root)
		errs = append(errs, failed...)
		if doc != nil {
			docs = append(docs, doc)
		}
		if len(errs) > maxErrors || len(docs) > maxDocuments {
			errs = append(errs[:min(len(errs), maxErrors)], &FieldError{File: name, Line: root.Line,
				Problem: "too many errors or documents; the rest was not read",
				Fix:     fmt.Sprintf("correct those above, or split the file (at most %d objects)", maxDocuments)})
			break
		}
	}
	if len(docs) == 0 && len(errs) == 0 {
		errs = append(errs, &FieldError{File: name, Line: 1, Problem: "there is no object in the file",
			Fix: fmt.Sprintf("begin with \"apiVersion: %s\" and \"kind:\", or delete the file", Version)})
	}
	return docs, errs
}

func tooLarge(name string, size int64) error {
	return &FieldError{File: name,
		Problem: fmt.Sprintf("the file has %d bytes (%.1f MiB), and at most %d are read", size, float64(size)/(1<<20), maxFile),
		Fix:     "split it into several files"}
}

// duplicates reports objects that are defined twice.
func duplicates(docs []*document) []error {
	var errs []error
	first := map[string]*document{}
	for _, d := range docs {
		key := Key(d.object)
		if before, found := first[key]; found {
			errs = append(errs, &FieldError{File: d.file, Line: d.line("metadata.name"), Object: key, Path: "metadata.name",
				Problem: fmt.Sprintf("the object is defined at %s:%d already", before.file, before.line("metadata.name")),
				Fix:     "delete one of them, or give it another name"})
			continue
		}
		first[key] = d
	}
	return errs
}

// yamlLine finds the line that the YAML library puts into its messages.
var yamlLine = regexp.MustCompile(`^line (\d+): `)

// parserError matches the messages of the YAML library's parser, not those of
// its scanner.
var parserError = regexp.MustCompile(`did not find expected ('-' indicator|key|',' or|<|node content)`)

// YAMLError renders an error of the YAML library as a *FieldError: with file,
// line and a way out.
func YAMLError(name string, err error) error {
	text := strings.ToValidUTF8(strings.TrimPrefix(err.Error(), "yaml: "), "")
	e := &FieldError{File: name, Line: 1} // the library leaves the first line out
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
		if parserError.MatchString(text) {
			e.Line++ // the library counts these from 0
		}
	}
	e.Problem = "this is not YAML: " + text
	switch {
	case strings.Contains(text, "tab character"):
		e.Fix = "indent with spaces"
	case strings.Contains(text, "cannot start any token"):
		e.Fix = "indent with spaces, not tabs, and put text that begins with @ or ` in quotes"
	case strings.Contains(text, "unknown anchor"):
		e.Line = 0 // it does not say
		e.Fix = "write the value itself in place of the alias"
	default:
		e.Fix = "check indentation, colons and quotes around here"
	}
	return e
}
