package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Unmarshal reads what Marshal wrote: the strict JSON of one object. Defaults
// are filled in, so that an object of an older version is complete; it is not
// validated, so that a stricter version does not lose what the site runs on.
func Unmarshal(data []byte) (Object, error) {
	var e envelope
	if err := strictJSON(data, &e); err != nil {
		return nil, fmt.Errorf("object: %w", err)
	}
	if e.APIVersion != Version {
		return nil, fmt.Errorf("object %s/%s: apiVersion %q is not known; this version reads %s", e.Kind, e.Metadata.Name, e.APIVersion, Version)
	}
	o, err := New(e.Kind)
	if err != nil {
		return nil, err
	}
	*o.ObjectMeta() = e.Metadata
	if len(e.Spec) > 0 {
		if err := strictJSON(e.Spec, o.ObjectSpec()); err != nil {
			return nil, fmt.Errorf("%s: %w", Key(o), err)
		}
	}
	o.Default()
	return o, nil
}

// strictJSON decodes exactly one value without unknown keys.
func strictJSON(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("the JSON is truncated")
		}
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more data after the JSON value")
	}
	return nil
}
