package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/peerage/peerage/api"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// maxConfig bounds a daemon's configuration file.
const maxConfig = 64 << 10

// loadFlags reads a YAML file whose keys are the names of flags. A flag that
// was given on the command line keeps its value; every mistake of the file is
// reported with its line.
func loadFlags(fs *pflag.FlagSet, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	if len(data) > maxConfig {
		return fmt.Errorf("--config: %s is larger than %d bytes; a configuration is a few lines", file, maxConfig)
	}
	return setFlags(fs, file, data)
}

func setFlags(fs *pflag.FlagSet, file string, data []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
		return nil // an empty file leaves the defaults
	} else if err != nil {
		return api.YAMLError(file, err)
	}
	var more yaml.Node
	if err := decoder.Decode(&more); err == nil {
		return &api.FieldError{File: file, Line: more.Line, Problem: "the file has a second document", Fix: `delete it, and the "---"`}
	} else if !errors.Is(err, io.EOF) {
		return api.YAMLError(file, err)
	}
	node := root.Content[0]
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return nil
	}
	if node.Kind != yaml.MappingNode {
		return &api.FieldError{File: file, Line: node.Line, Problem: "the file is no mapping", Fix: "write one flag a line, such as name: lb-1"}
	}
	return setMapping(fs, file, node)
}

func setMapping(fs *pflag.FlagSet, file string, node *yaml.Node) error {
	var errs []error
	lines := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		fail := func(problem, fix string) {
			errs = append(errs, &api.FieldError{File: file, Line: key.Line, Path: key.Value, Problem: problem, Fix: fix})
		}
		flag := fs.Lookup(key.Value)
		switch {
		case key.Kind != yaml.ScalarNode:
			fail("a key is not text", "write the name of a flag")
			continue
		case lines[key.Value] > 0:
			fail(fmt.Sprintf("the key is in line %d already", lines[key.Value]), "delete one of them")
			continue
		case flag == nil || key.Value == flagConfig || flag.Name == "help":
			fail("the key is not known", unknownFlag(fs, key.Value))
			continue
		}
		lines[key.Value] = key.Line
		words, problem := flagWords(flag, value)
		if problem != "" {
			fail(problem, "write "+flagWants(flag))
			continue
		}
		if flag.Changed {
			continue // the command line wins
		}
		if err := setFlag(fs, flag, words); err != nil {
			fail(fmt.Sprintf("%q is not possible", strings.Join(words, ",")), "write "+flagWants(flag))
		}
	}
	return errors.Join(errs...)
}

func setFlag(fs *pflag.FlagSet, flag *pflag.Flag, words []string) error {
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		if err := list.Replace(words); err != nil {
			return err
		}
		flag.Changed = true
		return nil
	}
	return fs.Set(flag.Name, words[0])
}

// flagWords takes a scalar, or for a flag with several values a list of them.
func flagWords(flag *pflag.Flag, value *yaml.Node) (words []string, problem string) {
	_, several := flag.Value.(pflag.SliceValue)
	nodes := []*yaml.Node{value}
	if several && value.Kind == yaml.SequenceNode {
		nodes = value.Content
	}
	for _, n := range nodes {
		switch {
		case n.Kind != yaml.ScalarNode:
			return nil, "the value is not " + flagWants(flag)
		case n.Tag == "!!null":
			return nil, "the key has no value"
		case flag.Value.Type() == "bool" && n.Value != "true" && n.Value != "false":
			return nil, fmt.Sprintf("%q is not true or false", n.Value)
		}
		words = append(words, n.Value)
	}
	return words, ""
}

// flagWants says what a flag takes.
func flagWants(flag *pflag.Flag) string {
	if _, several := flag.Value.(pflag.SliceValue); several {
		return "a list, such as [a, b]"
	}
	switch flag.Value.Type() {
	case "bool":
		return "true or false"
	case "duration":
		return "a number with a unit, such as 500ms or 3s"
	case "int", "uint", "int64", "uint16", "uint32":
		return "a whole number"
	}
	return "one text: " + flag.Usage
}

func unknownFlag(fs *pflag.FlagSet, key string) string {
	var known []string
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Name != flagConfig && f.Name != "help" && !f.Hidden {
			known = append(known, f.Name)
		}
	})
	if near := api.Nearest(key, known); near != "" {
		return "write " + near
	}
	return "the keys are " + strings.Join(known, ", ")
}
