package api

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// leaf decodes a scalar as type t: by the type, never by what YAML guesses.
func (w *walker) leaf(n *yaml.Node, path string, t reflect.Type) (any, bool) {
	expected := expectation(t)
	switch {
	case n.Kind != yaml.ScalarNode:
		fix := "write " + expected
		if n.Kind == yaml.MappingNode && (t == reflect.TypeFor[netip.Addr]() || t == reflect.TypeFor[netip.Prefix]()) {
			fix += "; one that ends in a colon needs quotes"
		}
		w.fail(n, path, "the value is "+describe(n), fix)
		return nil, false
	case n.Tag == "!!null" || n.Value == "":
		w.fail(n, path, "the key has no value", "write "+expected+", or delete the line")
		return nil, false
	}
	data, err := scalarJSON(n, t)
	if err == nil {
		err = json.Unmarshal(data, reflect.New(t).Interface())
	}
	if err != nil {
		problem, fix := quote(n)+" is not "+noun(t), "write "+expected
		if own, way, found := strings.Cut(err.Error(), "; "); found { // our types say it themselves
			problem, fix = own, way
		}
		w.fail(n, path, problem, fix)
		return nil, false
	}
	return data, true
}

// errOther is replaced by what the type says of itself.
var errOther = errors.New("not of the type")

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// isText tells whether a type decodes itself from text.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) || t == reflect.TypeFor[Quota]()
}

// scalarJSON renders a scalar as the JSON that t reads.
func scalarJSON(n *yaml.Node, t reflect.Type) (json.RawMessage, error) {
	if isText(t) { // also those whose kind is a number
		return json.Marshal(n.Value)
	}
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	switch t.Kind() {
	case reflect.Bool:
		if quoted || n.Value != "true" && n.Value != "false" {
			return nil, errOther
		}
		return json.RawMessage(n.Value), nil
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Int, reflect.Int64:
		if quoted {
			return nil, fmt.Errorf("%q is text; write the number without quotes", n.Value)
		}
		// Plain decimals only: 010 is eight for some readers and ten for others.
		if !decimal.MatchString(n.Value) {
			return nil, errOther
		}
		if json.Unmarshal([]byte(n.Value), reflect.New(t).Interface()) != nil {
			return nil, fmt.Errorf("%s is out of range; write %s", clip(n.Value), expectation(t))
		}
		return json.RawMessage(n.Value), nil
	case reflect.String:
		if !quoted && n.Tag != "!!str" {
			return nil, fmt.Errorf("%s is %s; write \"%s\" in quotes", quote(n), describe(n), clip(n.Value))
		}
	}
	return json.Marshal(n.Value)
}

// expectation says what to write for a type.
func expectation(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[netip.Addr]():
		return "an address such as 192.0.2.1 or 2001:db8::1"
	case reflect.TypeFor[netip.Prefix]():
		return "a prefix such as 192.0.2.0/24 or 2001:db8::/32"
	case reflect.TypeFor[Duration]():
		return "a number with a unit, such as 500ms, 3s or 2m"
	case reflect.TypeFor[Quota]():
		return "a number such as 2, or a share such as 50%"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return fmt.Sprintf("a whole number from 0 to %d", uint64(1)<<t.Bits()-1)
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "a whole number such as 3"
	}
	return "text"
}

func noun(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[netip.Addr]():
		return "an IP address"
	case reflect.TypeFor[netip.Prefix]():
		return "an address prefix"
	}
	what, _, _ := strings.Cut(expectation(t), " such as ")
	what, _, _ = strings.Cut(what, " from ")
	return what
}

// describe says what kind of thing a node is.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!timestamp":
		return "a date"
	case "!!null":
		return "empty"
	}
	return "text"
}

// quote shows a value, bounded; a mapping or a list is not shown.
func quote(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		return "this"
	}
	return strconv.Quote(clip(n.Value))
}

// clip bounds what of a file enters a message.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
