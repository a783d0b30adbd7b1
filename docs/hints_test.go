package docs_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Where a test says "run test/setup X", the script knows X.
func TestSetupHints(t *testing.T) {
	known, hints := read(t, "../test/setup"), 0
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != ".." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !strings.HasSuffix(name, "_test.go") || filepath.Base(name) == "hints_test.go":
			return nil
		}
		for _, m := range regexp.MustCompile(`run test/setup ?(\w*)`).FindAllStringSubmatch(read(t, name), -1) {
			hints++
			if m[1] == "" || !strings.Contains(known, "\n"+m[1]+") need=") {
				t.Errorf("%s: test/setup does not know %q", name, m[1])
			}
		}
		return nil
	})
	if err != nil || hints < 4 {
		t.Errorf("%d hints, %v", hints, err)
	}
}
