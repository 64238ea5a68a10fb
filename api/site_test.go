package api_test

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/peerage/peerage/api"
	"golang.org/x/tools/txtar"
)

// Each scenario of testdata/sites is an archive: YAML files that are valid
// one by one, and the errors and warnings of the whole.
func TestValidateSite(t *testing.T) {
	for _, file := range glob(t, "testdata/sites/*.txtar") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive := txtar.Parse(read(t, file))
			var objects []api.Object
			for _, f := range archive.Files {
				if filepath.Ext(f.Name) != ".yaml" {
					continue
				}
				parsed, err := api.Parse(f.Name, f.Data)
				if err != nil {
					t.Fatal(err)
				}
				objects = append(objects, parsed...)
			}
			got := siteReport(objects)
			// The messages do not depend on the order of the objects.
			for range 20 {
				rand.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
				if again := siteReport(objects); again != got {
					t.Fatalf("in another order:\n%s\nnot\n%s", again, got)
				}
			}
			archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool {
				return *update && filepath.Ext(f.Name) != ".yaml"
			})
			if *update {
				archive.Files = append(archive.Files, txtar.File{Name: "want", Data: []byte(got)})
				golden(t, file, string(txtar.Format(archive)))
			}
			want := archive.Files[len(archive.Files)-1]
			if want.Name != "want" || string(want.Data) != got {
				t.Errorf("got\n%s\nwant\n%s", got, want.Data)
			}
		})
	}
}

func siteReport(objects []api.Object) string {
	var b strings.Builder
	if err := api.ValidateSite(objects); err != nil {
		b.WriteString(err.Error() + "\n")
	}
	for _, w := range api.SiteWarnings(objects) {
		b.WriteString("warning: " + w.Error() + "\n")
	}
	return b.String()
}
