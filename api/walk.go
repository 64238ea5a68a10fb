package api

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// walker turns a YAML tree into JSON, checking it against Go types by their
// JSON tags, so that every mistake is reported with its line.
type walker struct {
	doc    *document
	object string // Kind/name as written, for messages
	errs   []error
	bad    []string   // paths with an error, which validation need not repeat
	zero   []zeroLeaf // zeros that were written
}

type zeroLeaf struct {
	path string
	node *yaml.Node
}

func (w *walker) fail(n *yaml.Node, path, problem, fix string) {
	if len(w.errs) > maxErrors {
		return // Parse says that there are more
	}
	w.bad = append(w.bad, path)
	w.errs = append(w.errs, &FieldError{File: w.doc.file, Line: n.Line, Object: w.object, Path: path, Problem: problem, Fix: fix})
}

// reported tells whether a path, one above or one below it has an error.
func (w *walker) reported(path string) bool {
	for _, b := range w.bad {
		if b == "" {
			continue
		}
		if b == path || strings.HasPrefix(path, b+".") || strings.HasPrefix(path, b+"[") ||
			strings.HasPrefix(b, path+".") || strings.HasPrefix(b, path+"[") {
			return true
		}
	}
	return false
}

// shape refuses what a configuration file has no use for and an attacker has:
// anchors and aliases (which multiply), tags, and deep nesting.
func (w *walker) shape(n *yaml.Node, path string, depth int) {
	switch {
	case depth > maxDepth:
		w.fail(n, path, fmt.Sprintf("nested deeper than %d levels", maxDepth), "no object is that deep; check the indentation")
		return
	case n.Kind == yaml.AliasNode:
		w.fail(n, path, "aliases are not read", "write the value itself in place of *"+clip(n.Value))
		return
	case n.Anchor != "":
		w.fail(n, path, "anchors are not read", "delete &"+clip(n.Anchor)+", and write the value at each place")
	case n.Style&yaml.TaggedStyle != 0:
		w.fail(n, path, "tags are not read", "delete "+clip(n.Tag))
	}
	for i, child := range n.Content {
		switch n.Kind {
		case yaml.MappingNode:
			if i%2 == 0 {
				w.shape(child, path, depth+1)
				continue
			}
			w.shape(child, dot(path, clip(n.Content[i-1].Value)), depth+1)
		case yaml.SequenceNode:
			w.shape(child, fmt.Sprintf("%s[%d]", path, i), depth+1)
		default:
			w.shape(child, path, depth+1)
		}
	}
}

func dot(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// value decodes one node as type t, into what encoding/json renders as t.
func (w *walker) value(n *yaml.Node, path string, t reflect.Type) (any, bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	w.doc.lines[path] = n.Line
	switch {
	case isLeaf(t):
		return w.leaf(n, path, t)
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		w.fail(n, path, "the key has no value", "write one, or delete the line")
		return nil, false
	case t.Kind() == reflect.Struct:
		return w.structure(n, path, t)
	case t.Kind() == reflect.Slice:
		return w.list(n, path, t)
	default: // a map of strings
		return w.labels(n, path, t)
	}
}

// isLeaf tells whether a type is written as a scalar.
func isLeaf(t reflect.Type) bool {
	if isText(t) {
		return true
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Slice, reflect.Map:
		return false
	}
	return true
}

// field is one key of a struct.
type field struct {
	name string
	typ  reflect.Type
	omit bool // a zero is not written
}

func fieldsOf(t reflect.Type) []field {
	var fields []field
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields = append(fields, field{name, f.Type, strings.HasPrefix(options, "omit") && f.Type.Kind() != reflect.Pointer})
	}
	return fields
}

// mapping returns the values of a mapping by key; unknown and doubled keys
// are reported.
func (w *walker) mapping(n *yaml.Node, path string, t reflect.Type) map[string]*yaml.Node {
	var known []string
	for _, f := range fieldsOf(t) {
		known = append(known, f.name)
	}
	values := map[string]*yaml.Node{}
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode:
			w.fail(key, path, "a key is "+describe(key), "write one of "+join(known))
		case lines[key.Value] > 0:
			w.fail(key, dot(path, clip(key.Value)), fmt.Sprintf("the key is in line %d already", lines[key.Value]), "delete one of them")
		default:
			lines[key.Value] = key.Line
			if !slices.Contains(known, key.Value) {
				w.unknown(key, path, known)
				continue
			}
			values[key.Value] = n.Content[i+1]
			w.doc.lines[dot(path, key.Value)] = key.Line
		}
	}
	return values
}

func (w *walker) unknown(key *yaml.Node, path string, known []string) {
	fix := "the keys here are " + join(known)
	if near := Nearest(key.Value, known); near != "" {
		fix = "write " + near
		w.bad = append(w.bad, dot(path, near)) // it is not missing but misspelt
	}
	w.fail(key, dot(path, clip(key.Value)), "the key is not known", fix)
}

func (w *walker) structure(n *yaml.Node, path string, t reflect.Type) (any, bool) {
	if n.Kind != yaml.MappingNode {
		var known []string
		for _, f := range fieldsOf(t) {
			known = append(known, f.name)
		}
		w.fail(n, path, quote(n)+" is "+describe(n), "write a mapping, with the keys "+join(known)+" on lines of their own")
		return nil, false
	}
	values := w.mapping(n, path, t)
	out := map[string]any{}
	for _, f := range fieldsOf(t) {
		child, found := values[f.name]
		if !found {
			continue
		}
		at := dot(path, f.name)
		line := w.doc.lines[at]
		value, ok := w.value(child, at, f.typ)
		w.doc.lines[at] = line // the key's, not the value's
		if !ok {
			continue
		}
		out[f.name] = value
		if f.omit && isLeaf(f.typ) && isZero(value, f.typ) {
			w.zero = append(w.zero, zeroLeaf{at, child})
		}
	}
	return out, true
}

func isZero(value any, t reflect.Type) bool {
	into := reflect.New(t)
	data, ok := value.(json.RawMessage)
	return ok && json.Unmarshal(data, into.Interface()) == nil && into.Elem().IsZero()
}

func (w *walker) list(n *yaml.Node, path string, t reflect.Type) (any, bool) {
	if n.Kind != yaml.SequenceNode {
		w.fail(n, path, quote(n)+" is "+describe(n), `write a list: one line for each item, beginning with "- "`)
		return nil, false
	}
	out := make([]any, 0, len(n.Content))
	good := true
	for i, child := range n.Content {
		value, ok := w.value(child, path+"["+strconv.Itoa(i)+"]", t.Elem())
		good = good && ok
		out = append(out, value)
	}
	return out, good
}

func (w *walker) labels(n *yaml.Node, path string, t reflect.Type) (any, bool) {
	if n.Kind != yaml.MappingNode {
		w.fail(n, path, quote(n)+" is "+describe(n), "write a mapping, such as rack: r12")
		return nil, false
	}
	out := map[string]any{}
	good := true
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if _, doubled := out[key.Value]; doubled || key.Kind != yaml.ScalarNode {
			w.fail(key, dot(path, clip(key.Value)), "the key is doubled, or no text", "write each key once")
			good = false
			continue
		}
		value, ok := w.value(n.Content[i+1], dot(path, key.Value), t.Elem())
		good = good && ok
		out[key.Value] = value
	}
	return out, good
}
