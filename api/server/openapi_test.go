package server_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/server"
	"github.com/peerage/peerage/api/server/servertest"
)

func keysOf[K comparable, V any](m map[K]V) iter.Seq[K] { return maps.Keys(m) }

// document is openapi.yaml, with a checker of values against its schemas.
type document map[string]any

func readDocument(t testing.TB) document {
	t.Helper()
	var d map[string]any
	if err := yaml.Unmarshal(server.OpenAPI(), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// at walks down by key.
func (d document) at(path ...string) any {
	var v any = map[string]any(d)
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func (d document) follow(pointer string) any {
	return d.at(strings.Split(strings.TrimPrefix(pointer, "#/"), "/")...)
}

// TestEveryRouteIsDocumented holds the document against the handlers, both
// ways.
func TestEveryRouteIsDocumented(t *testing.T) {
	s := servertest.New(t)
	d := readDocument(t)
	if v := d.at("openapi"); v != "3.1.0" {
		t.Errorf("the document is of OpenAPI %v", v)
	}
	var documented []string
	ids := map[any]bool{}
	for path, item := range d.at("paths").(map[string]any) {
		for method, op := range item.(map[string]any) {
			documented = append(documented, strings.ToUpper(method)+" "+path)
			operation := document(op.(map[string]any))
			if id := operation["operationId"]; id == nil || ids[id] {
				t.Errorf("%s %s: operationId %v is missing or not unique", method, path, id)
			} else {
				ids[id] = true
			}
			if operation["summary"] == nil || operation.at("responses", "200") == nil {
				t.Errorf("%s %s has no summary, or no answer", method, path)
			}
			for name := range strings.SplitSeq(path, "{") {
				if name, _, found := strings.Cut(name, "}"); found && !hasParameter(d, operation, name) {
					t.Errorf("%s %s does not describe {%s}", method, path, name)
				}
			}
		}
	}
	routes := s.Server.Routes()
	slices.Sort(documented)
	slices.Sort(routes)
	if diff := cmp.Diff(routes, documented); diff != "" {
		t.Errorf("handlers (-) and document (+) differ:\n%s", diff)
	}
}

func hasParameter(d document, op document, name string) bool {
	list, _ := op["parameters"].([]any)
	return slices.ContainsFunc(list, func(p any) bool {
		m, _ := d.follow(p.(map[string]any)["$ref"].(string)).(map[string]any)
		return m["name"] == name && m["in"] == "path"
	})
}

// TestReferences follows every $ref of the document, and looks for schemas
// that nothing needs.
func TestReferences(t *testing.T) {
	d := readDocument(t)
	used := map[string]bool{}
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if pointer, ok := v["$ref"].(string); ok {
				used[pointer] = true
				if d.follow(pointer) == nil {
					t.Errorf("%s does not exist", pointer)
				}
			}
			for _, x := range v {
				visit(x)
			}
		case []any:
			for _, x := range v {
				visit(x)
			}
		}
	}
	visit(map[string]any(d))
	for _, part := range []string{"schemas", "parameters", "responses", "headers"} {
		for name := range d.at("components", part).(map[string]any) {
			if !used["#/components/"+part+"/"+name] {
				t.Errorf("nothing refers to %s %s", part, name)
			}
		}
	}
}

// TestErrorCodesAreDocumented holds the table of codes against the schema.
func TestErrorCodesAreDocumented(t *testing.T) {
	var want []any
	for _, c := range api.ErrorCodes() {
		want = append(want, string(c))
	}
	if diff := cmp.Diff(want, readDocument(t).at("components", "schemas", "ErrorCode", "enum")); diff != "" {
		t.Error(diff)
	}
}

// answerOf is the schema of the answer of an operation.
func (d document) answerOf(t testing.TB, method, path string, status int, contentType string) map[string]any {
	t.Helper()
	item, _ := d.at("paths").(map[string]any)
	for pattern, ops := range item {
		if !matches(pattern, path) {
			continue
		}
		op, _ := ops.(map[string]any)[strings.ToLower(method)].(map[string]any)
		if op == nil {
			continue
		}
		resp, _ := document(op).at("responses", fmt.Sprint(status)).(map[string]any)
		if pointer, ok := resp["$ref"].(string); ok {
			resp, _ = d.follow(pointer).(map[string]any)
		}
		schema, _ := document(resp).at("content", contentType, "schema").(map[string]any)
		if schema == nil {
			t.Errorf("%s %s: the answer %d %s is not documented", method, path, status, contentType)
		}
		return schema
	}
	t.Errorf("%s %s is not documented", method, path)
	return nil
}

func matches(pattern, path string) bool {
	a, b := strings.Split(pattern, "/"), strings.Split(path, "/")
	return slices.EqualFunc(a, b, func(x, y string) bool { return x == y || strings.HasPrefix(x, "{") && y != "" })
}

// check lists what of a value its schema does not allow. It is stricter than
// JSON Schema in one thing: a property that is not described is an error.
func (d document) check(schema map[string]any, v any, path string) []string {
	if pointer, ok := schema["$ref"].(string); ok {
		schema, _ = d.follow(pointer).(map[string]any)
	}
	var errs []string
	if options, ok := schema["oneOf"].([]any); ok {
		fits := 0
		for _, o := range options {
			if len(d.check(o.(map[string]any), v, path)) == 0 {
				fits++
			}
		}
		if fits != 1 {
			errs = append(errs, fmt.Sprintf("%s: %v fits %d of the alternatives", path, v, fits))
		}
	}
	if c, ok := schema["const"]; ok && c != v {
		errs = append(errs, fmt.Sprintf("%s: %v is not %v", path, v, c))
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.ContainsFunc(enum, func(e any) bool { return reflect.DeepEqual(e, v) }) {
		errs = append(errs, fmt.Sprintf("%s: %v is none of %v", path, v, enum))
	}
	switch schema["type"] {
	case "object":
		errs = append(errs, d.checkObject(schema, v, path)...)
	case "array":
		list, ok := v.([]any)
		if !ok {
			return append(errs, fmt.Sprintf("%s: %v is no array", path, v))
		}
		for i, item := range list {
			errs = append(errs, d.check(schema["items"].(map[string]any), item, fmt.Sprintf("%s[%d]", path, i))...)
		}
	case "string":
		if _, ok := v.(string); !ok {
			errs = append(errs, fmt.Sprintf("%s: %v is no string", path, v))
		}
	case "integer":
		if n, ok := v.(float64); !ok || n != math.Trunc(n) {
			errs = append(errs, fmt.Sprintf("%s: %v is no integer", path, v))
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			errs = append(errs, fmt.Sprintf("%s: %v is no boolean", path, v))
		}
	case "null":
		if v != nil {
			errs = append(errs, fmt.Sprintf("%s: %v is not null", path, v))
		}
	}
	return errs
}

func (d document) checkObject(schema map[string]any, v any, path string) []string {
	m, ok := v.(map[string]any)
	if !ok {
		return []string{fmt.Sprintf("%s: %v is no object", path, v)}
	}
	var errs []string
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, found := m[name.(string)]; !found {
			errs = append(errs, fmt.Sprintf("%s: %s is missing", path, name))
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	others, _ := schema["additionalProperties"].(map[string]any)
	for name, value := range m {
		sub, known := properties[name].(map[string]any)
		switch {
		case known:
			errs = append(errs, d.check(sub, value, path+"."+name)...)
		case others != nil:
			errs = append(errs, d.check(others, value, path+"."+name)...)
		default:
			errs = append(errs, fmt.Sprintf("%s: %s is not described", path, name))
		}
	}
	return errs
}

// checkAnswer holds an answer against the document.
func (d document) checkAnswer(t testing.TB, method, path string, status int, contentType string, body []byte) {
	t.Helper()
	schema := d.answerOf(t, method, path, status, contentType)
	if schema == nil || contentType != "application/json" {
		return
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Errorf("%s %s: %v: %s", method, path, err, body)
		return
	}
	for _, e := range d.check(schema, v, "$") {
		t.Errorf("%s %s: %d: %s", method, path, status, e)
	}
}
