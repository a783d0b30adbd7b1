package docs_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Where a test says "run test/setup X", the script knows X.
func TestSetupHints(t *testing.T) {
	known, hints := read(t, "../test/setup"), 0
	all, err := goFiles()
	for name := range all.files {
		ofTests := strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "../test/testkit/")
		if !ofTests || filepath.Base(name) == "hints_test.go" {
			continue
		}
		for _, m := range regexp.MustCompile(`run test/setup ?(\w*)`).FindAllStringSubmatch(read(t, name), -1) {
			hints++
			if m[1] == "" || !strings.Contains(known, "\n"+m[1]+") need=") {
				t.Errorf("%s: test/setup does not know %q", name, m[1])
			}
		}
	}
	if err != nil || hints < 2 {
		t.Errorf("%d hints, %v", hints, err)
	}
}
