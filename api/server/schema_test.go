package server_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/server"
)

var update = flag.Bool("update", false, "write the schemas of openapi.yaml anew")

// TestSchemas keeps the schemas of the document equal to the types, with the
// comments of the types as descriptions.
func TestSchemas(t *testing.T) {
	head, got, found := bytes.Cut(server.OpenAPI(), []byte("\n  schemas:\n"))
	if !found {
		t.Fatal("openapi.yaml has no schemas")
	}
	want := schemas(t)
	if *update {
		text := slices.Concat(head, []byte("\n  schemas:\n"), want)
		if err := os.WriteFile("openapi.yaml", text, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("the schemas are not those of the types; run go test ./api/server -run TestSchemas -update\n%s", d)
	}
}

// schemas renders every type that the API reads or answers with.
func schemas(t *testing.T) []byte {
	t.Helper()
	s := &schemer{docs: readDocs(t), out: map[string]*yaml.Node{}}
	for _, v := range []any{api.ApplyResult{}, api.VerbRequest{}, api.VerbResult{}, api.RouteRequest{}, api.RouteResult{}, api.SessionList{}, api.LookupResult{}, api.StoreAcceptRequest{}, api.StoreAcceptResult{},
		api.Status{}, api.Plan{}, api.Event{}, api.VersionInfo{}, api.StreamLine{}, api.ErrorBody{}} {
		s.of(reflect.TypeOf(v))
	}
	var kinds []*yaml.Node
	for _, kind := range api.Kinds() {
		o, err := api.New(kind)
		if err != nil {
			t.Fatal(err)
		}
		s.object(kind, o)
		s.list(string(kind)+"List", ref(string(kind)))
		kinds = append(kinds, ref(string(kind)))
	}
	s.out["Object"] = mapping("oneOf", &yaml.Node{Kind: yaml.SequenceNode, Content: kinds})
	s.list("PlanList", ref("Plan"))
	s.list("EventList", ref("Event"))
	s.list("RouteIntentList", ref("RouteIntent"))
	all := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range slices.Sorted(keysOf(s.out)) {
		all.Content = append(all.Content, scalar(name), s.out[name])
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(all); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for line := range strings.Lines(b.String()) {
		out.WriteString("    " + line)
	}
	return out.Bytes()
}

// schemer makes JSON schemas of Go types.
type schemer struct {
	docs docs
	out  map[string]*yaml.Node
}

func ref(name string) *yaml.Node { return mapping("$ref", scalar("#/components/schemas/"+name)) }

func scalar(v string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v} }

func mapping(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i < len(pairs); i += 2 {
		n.Content = append(n.Content, scalar(pairs[i].(string)), pairs[i+1].(*yaml.Node))
	}
	return n
}

func typed(name string) *yaml.Node { return mapping("type", scalar(name)) }

func sequence(items ...string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, i := range items {
		n.Content = append(n.Content, scalar(i))
	}
	return n
}

func oneOf(parts ...*yaml.Node) *yaml.Node {
	return mapping("oneOf", &yaml.Node{Kind: yaml.SequenceNode, Content: parts})
}

// of is the schema of a type; named structs and enumerations become
// components.
func (s *schemer) of(t reflect.Type) *yaml.Node {
	switch t {
	case reflect.TypeFor[time.Time]():
		return mapping("type", scalar("string"), "format", scalar("date-time"))
	case reflect.TypeFor[api.Duration]():
		return s.define("Duration", mapping("type", scalar("string"), "description", scalar("A time with a unit, such as 500ms, 3s or 2m.")))
	case reflect.TypeFor[api.Quota]():
		return s.define("Quota", mapping("description", scalar(`A number of things (2) or a share of them ("50%").`), "oneOf",
			&yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{typed("integer"), typed("string")}}))
	case reflect.TypeFor[api.WeightValue]():
		return s.define("WeightValue", mapping("description", scalar(`A nominal weight of 1..8, or "reset".`), "oneOf",
			&yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{typed("integer"), mapping("const", scalar("reset"))}}))
	case reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.Prefix](), reflect.TypeFor[netip.AddrPort]():
		return typed("string")
	case reflect.TypeFor[json.RawMessage]():
		return &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle} // anything
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Slice:
		return mapping("type", scalar("array"), "items", s.of(t.Elem()))
	case reflect.Map:
		return mapping("type", scalar("object"), "additionalProperties", s.of(t.Elem()))
	case reflect.Bool:
		return typed("boolean")
	case reflect.String:
		if values := s.docs.values[t.Name()]; len(values) > 0 {
			return s.define(t.Name(), mapping("type", scalar("string"), "description", scalar(s.docs.text[t.Name()]), "enum", sequence(values...)))
		}
		return typed("string")
	case reflect.Struct:
		if _, known := s.out[t.Name()]; !known {
			s.out[t.Name()] = nil // for types that hold themselves
			s.out[t.Name()] = s.structure(t)
		}
		return ref(t.Name())
	}
	return typed("integer")
}

func (s *schemer) define(name string, n *yaml.Node) *yaml.Node {
	s.out[name] = n
	return ref(name)
}

func (s *schemer) structure(t reflect.Type) *yaml.Node {
	properties := &yaml.Node{Kind: yaml.MappingNode}
	required := sequence()
	s.fields(t, properties, required)
	n := mapping("type", scalar("object"))
	if text := s.docs.text[t.Name()]; text != "" {
		n.Content = append(n.Content, scalar("description"), scalar(text))
	}
	if len(required.Content) > 0 {
		n.Content = append(n.Content, scalar("required"), required)
	}
	n.Content = append(n.Content, scalar("properties"), properties)
	return n
}

func (s *schemer) fields(t reflect.Type, properties, required *yaml.Node) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			s.fields(f.Type, properties, required)
			continue
		}
		schema := s.of(f.Type)
		optional := strings.Contains(options, "omit")
		if !optional {
			required.Content = append(required.Content, scalar(name))
		}
		if f.Type.Kind() == reflect.Pointer && !optional {
			schema = oneOf(schema, typed("null"))
		}
		if text := s.docs.text[t.Name()+"."+f.Name]; text != "" && len(schema.Content) > 0 {
			schema = &yaml.Node{Kind: yaml.MappingNode, Content: slices.Concat(
				[]*yaml.Node{scalar("description"), scalar(text)}, schema.Content)}
		}
		properties.Content = append(properties.Content, scalar(name), schema)
	}
}

// object is the schema of a configuration object with its envelope.
func (s *schemer) object(kind api.Kind, o api.Object) {
	s.out[string(kind)] = mapping("type", scalar("object"), "description", scalar(s.docs.text[string(kind)]),
		"required", sequence("apiVersion", "kind", "metadata", "spec"),
		"properties", mapping(
			"apiVersion", mapping("const", scalar(api.Version)),
			"kind", mapping("const", scalar(string(kind))),
			"metadata", s.of(reflect.TypeFor[api.Meta]()),
			"spec", s.of(reflect.TypeOf(o.ObjectSpec()).Elem())))
}

func (s *schemer) list(name string, item *yaml.Node) {
	s.out[name] = mapping("type", scalar("object"), "required", sequence("revision", "items"), "properties", mapping(
		"revision", mapping("description", scalar("The store's, of which the items are."), "type", scalar("integer")),
		"stale", mapping("description", scalar("Why the items may be behind the store."), "type", scalar("string")),
		"items", mapping("type", scalar("array"), "items", item)))
}

// docs are the comments of the package api, by Type and Type.Field, and the
// values of its string types.
type docs struct {
	text   map[string]string
	values map[string][]string
}

func readDocs(t *testing.T) docs {
	t.Helper()
	d := docs{map[string]string{}, map[string][]string{}}
	files, err := filepath.Glob("../*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source of package api: %v", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			if g, ok := decl.(*ast.GenDecl); ok {
				d.declaration(g)
			}
		}
	}
	return d
}

func (d *docs) declaration(g *ast.GenDecl) {
	for _, spec := range g.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			d.text[spec.Name.Name] = plain(g.Doc)
			if st, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range st.Fields.List {
					for _, name := range f.Names {
						d.text[spec.Name.Name+"."+name.Name] = plain(f.Doc)
					}
				}
			}
		case *ast.ValueSpec:
			kind, ok := spec.Type.(*ast.Ident)
			if !ok || g.Tok != token.CONST || len(spec.Values) != 1 {
				continue
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if v, err := strconv.Unquote(lit.Value); err == nil {
					d.values[kind.Name] = append(d.values[kind.Name], v)
				}
			}
		}
	}
}

// plain is a comment on one line.
func plain(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }
