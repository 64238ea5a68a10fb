package server

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/peerage/peerage/api"
)

// diff lists the fields of labels and spec that differ, by path. Before may be
// nil. Lists are compared as a whole where they hold plain values, since the
// place of a name in them means nothing; lists of objects by place.
func diff(before, after api.Object) ([]api.FieldChange, error) {
	was, err := tree(before)
	if err != nil {
		return nil, err
	}
	is, err := tree(after)
	if err != nil {
		return nil, err
	}
	var out []api.FieldChange
	walk("", was, is, &out)
	return out, nil
}

// tree is what an operator writes of an object, as plain JSON values.
func tree(o api.Object) (any, error) {
	if o == nil {
		return map[string]any{}, nil
	}
	data, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": o.ObjectMeta().Labels}, "spec": o.ObjectSpec()})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", api.Key(o), err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("%s: %w", api.Key(o), err)
	}
	return v, nil
}

func walk(path string, was, is any, out *[]api.FieldChange) {
	wasMap, okWas := was.(map[string]any)
	isMap, okIs := is.(map[string]any)
	if okWas && okIs || okWas && is == nil || was == nil && okIs {
		all := make(map[string]bool)
		for k := range wasMap {
			all[k] = true
		}
		for k := range isMap {
			all[k] = true
		}
		for _, k := range keys(all) {
			next := k
			if path != "" {
				next = path + "." + k
			}
			walk(next, wasMap[k], isMap[k], out)
		}
		return
	}
	wasList, okWas := was.([]any)
	isList, okIs := is.([]any)
	if okWas && okIs && ofObjects(wasList) && ofObjects(isList) {
		for i := range max(len(wasList), len(isList)) {
			walk(fmt.Sprintf("%s[%d]", path, i), at(wasList, i), at(isList, i), out)
		}
		return
	}
	a, b := text(was), text(is)
	if !bytes.Equal(a, b) {
		*out = append(*out, api.FieldChange{Path: path, Before: a, After: b})
	}
}

func ofObjects(list []any) bool {
	for _, v := range list {
		if _, ok := v.(map[string]any); !ok {
			return false
		}
	}
	return true
}

func at(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return nil
}

// text renders a value; an absent one is nothing.
func text(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil // it came out of JSON
	}
	return data
}
