package api_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/peerage/peerage/api"
)

// FuzzParse: no input panics, every error is one that names a place, and what
// was accepted survives being written and read again.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		for _, file := range glob(f, pattern) {
			f.Add(read(f, file))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := api.Parse("fuzz", data)
		if (err == nil) != (len(objects) > 0) {
			t.Fatalf("%d objects, %v", len(objects), err)
		}
		if err != nil {
			if len(api.FieldErrors(err)) == 0 {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		for _, o := range objects {
			written := marshal(t, o)
			again, err := api.Unmarshal(written)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(o, again, compare); diff != "" {
				t.Fatal(diff)
			}
		}
		_ = api.ValidateSite(objects)
		_ = api.SiteWarnings(objects)
	})
}
