package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxDepth bounds the nesting of a document; the deepest key of any kind is
// at 5.
const maxDepth = 32

// document is one object of a file, and where its fields are.
type document struct {
	file   string
	object Object
	lines  map[string]int // by key path; "" is the document
}

// line is where a path is, or the nearest path above it that was written.
func (d *document) line(path string) int {
	for {
		if n, found := d.lines[path]; found || path == "" {
			return n
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// decode turns one YAML document into an object: the shape of the node tree
// first, then the tree against the types, then defaults and validation.
func decode(file string, root *yaml.Node) (*document, []error) {
	node := root
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		node = root.Content[0]
	}
	w := &walker{doc: &document{file: file, lines: map[string]int{"": node.Line}}}
	w.shape(node, "", 0)
	if len(w.errs) > 0 {
		return nil, w.errs
	}
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		w.fail(node, "", "the document is empty", `delete the extra "---"`)
		return nil, w.errs
	}
	if node.Kind != yaml.MappingNode {
		w.fail(node, "", "the document is "+describe(node), "write an object: "+`"apiVersion:", "kind:", "metadata:" and "spec:"`)
		return nil, w.errs
	}
	w.envelope(node)
	slices.SortStableFunc(w.errs, func(a, b error) int { return lineOf(a) - lineOf(b) })
	return w.doc, w.errs
}

func lineOf(err error) int {
	if e, ok := errors.AsType[*FieldError](err); ok {
		return e.Line
	}
	return 0
}

// envelope decodes the four keys of an object.
func (w *walker) envelope(root *yaml.Node) {
	fields := w.mapping(root, "", reflect.TypeFor[envelope]())
	w.name(fields)
	w.version(root, fields["apiVersion"])
	o := w.kind(root, fields["kind"])
	if o == nil {
		w.doc = nil
		return
	}
	w.part(root, fields, "metadata", o.ObjectMeta())
	w.part(root, fields, "spec", o.ObjectSpec())
	o.Default()
	w.doc.object = o
	w.zeros(o)
	for _, e := range FieldErrors(o.Validate()) {
		if w.reported(e.Path) {
			continue
		}
		e.File, e.Line = w.doc.file, w.doc.line(e.Path)
		if o.ObjectMeta().Name == "" {
			e.Object = string(o.ObjectKind())
		}
		w.errs = append(w.errs, e)
	}
}

// name finds kind and name early, so that every message can tell them.
func (w *walker) name(fields map[string]*yaml.Node) {
	kind, meta := fields["kind"], fields["metadata"]
	if kind == nil || meta == nil || meta.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(meta.Content); i += 2 {
		if meta.Content[i].Value == "name" && meta.Content[i+1].Kind == yaml.ScalarNode {
			w.object = clip(kind.Value) + "/" + clip(meta.Content[i+1].Value)
		}
	}
}

func (w *walker) version(root, n *yaml.Node) {
	switch {
	case n == nil:
		w.fail(root, "apiVersion", "the key is missing", "write apiVersion: "+Version)
	case n.Kind != yaml.ScalarNode || n.Value != Version:
		w.fail(n, "apiVersion", quote(n)+" is not a version that is known", "write "+Version)
	}
}

func (w *walker) kind(root, n *yaml.Node) Object {
	fix := fmt.Sprintf("write one of %s", join(Kinds()))
	if n == nil {
		w.fail(root, "kind", "the key is missing", fix)
		return nil
	}
	o, err := New(Kind(n.Value))
	if n.Kind == yaml.ScalarNode && err == nil {
		return o
	}
	if near := Nearest(n.Value, texts(Kinds())); near != "" {
		fix = "write " + near
	}
	w.fail(n, "kind", quote(n)+" is not a kind that is known", fix)
	return nil
}

// part decodes metadata or spec through the walk into its struct.
func (w *walker) part(root *yaml.Node, fields map[string]*yaml.Node, key string, into any) {
	n := fields[key]
	if n == nil {
		w.fail(root, key, "the key is missing", fmt.Sprintf("write %q and what belongs under it", key+":"))
		w.bad = append(w.bad, key)
		return
	}
	value, ok := w.value(n, key, reflect.TypeOf(into).Elem())
	if !ok {
		return
	}
	data, err := json.Marshal(value)
	if err == nil {
		err = strictJSON(data, into)
	}
	if err != nil { // the walk checked every leaf: this is a defect of ours
		w.fail(n, key, err.Error(), "")
	}
}

// zeros refuses a written zero that stands for a default other than zero: a
// weight of 0 must not silently become 1.
func (w *walker) zeros(o Object) {
	if len(w.zero) == 0 {
		return
	}
	data, err := Marshal(o)
	if err != nil {
		return // Default does not make an object unmarshalable
	}
	var tree any
	if json.Unmarshal(data, &tree) != nil {
		return
	}
	for _, n := range w.zero {
		now, found := lookup(tree, n.path)
		if !found {
			continue
		}
		fix := fmt.Sprintf("delete the line for %v, or write what you mean", now)
		if o.ObjectKind() == KindRealServer && n.path == "spec.weight" {
			fix = "write 1..8; `peeragectl depool` takes a server out of service"
		}
		if strings.HasSuffix(n.path, "oldTime") {
			fix = "write 3s..65535s: without keepalives the load balancers lose track of a silent session"
		}
		w.fail(n.node, n.path, n.node.Value+" is not a value of this key", fix)
		w.bad = append(w.bad, n.path)
	}
}

// lookup follows a key path such as spec.peers[2].name through decoded JSON.
func lookup(tree any, path string) (any, bool) {
	for step := range strings.SplitSeq(strings.ReplaceAll(path, "[", ".["), ".") {
		var index int
		if _, err := fmt.Sscanf(step, "[%d]", &index); err == nil {
			list, ok := tree.([]any)
			if !ok || index >= len(list) {
				return nil, false
			}
			tree = list[index]
			continue
		}
		object, ok := tree.(map[string]any)
		if !ok {
			return nil, false
		}
		if tree, ok = object[step]; !ok {
			return nil, false
		}
	}
	return tree, true
}
