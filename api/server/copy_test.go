package server

import (
	"testing"

	"github.com/peerage/peerage/api"
)

// A transaction may run again: what was sent must not be changed by its first
// run, whatever its kind.
func TestShallowCopiesEveryKind(t *testing.T) {
	for _, kind := range api.Kinds() {
		o, err := api.New(kind)
		if err != nil {
			t.Fatal(err)
		}
		shallow(o).ObjectMeta().Generation = 7
		if o.ObjectMeta().Generation != 0 {
			t.Errorf("%s is not copied", kind)
		}
	}
}
