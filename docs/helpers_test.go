package docs_test

import (
	"bytes"
	"go/ast"
	"go/printer"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Packages of test helpers are imported by tests alone: whoever takes a testing.T has no business in a program.
func TestHelpersAreForTests(t *testing.T) {
	helpers := []string{`"ec2net/test/testkit"`, `"ec2net/test/lab/labtest"`}
	all, err := goFiles()
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range all.files {
		folder := strings.TrimPrefix(path.Dir(name), "../")
		if strings.HasSuffix(name, "_test.go") || slices.Contains(helpers, `"ec2net/`+folder+`"`) {
			continue
		}
		for _, i := range f.Imports {
			if slices.Contains(append(helpers, `"testing"`), i.Path.Value) {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
	}
}

// A helper that the tests of two packages have word for word belongs into a package of helpers. One that only gives a
// function of a library a shorter name, in a line, is none.
func TestHelpersExistOnce(t *testing.T) {
	all, err := goFiles()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for name, f := range all.files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasSuffix(name, "_test.go") || fn.Name.Name == "TestMain" {
				continue
			}
			var body bytes.Buffer
			if err := printer.Fprint(&body, all.positions, fn.Body); err != nil {
				t.Fatal(err)
			}
			if len(fn.Body.List) == 1 && len(body.String()) < 120 {
				continue
			}
			text := regexp.MustCompile(`\s+`).ReplaceAllString(body.String(), " ")
			if other, twice := found[text]; twice && path.Dir(other) != path.Dir(name) {
				t.Errorf("%s of %s is in %s too", fn.Name.Name, name, other)
			}
			found[text] = name
		}
	}
}
