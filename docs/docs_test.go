package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ec2net/test/testkit"
)

var read = testkit.Read

// Every test that security.md names is there, in the folder that stands before it.
func TestSecurityNamesTests(t *testing.T) {
	folder, named := "", 0
	sources := map[string]string{}
	text := read(t, "security.md")
	for _, m := range regexp.MustCompile("`([A-Za-z0-9/]+)`").FindAllStringSubmatch(text, -1) {
		name := m[1]
		if !strings.HasPrefix(name, "Test") && !strings.HasPrefix(name, "Fuzz") {
			folder = name
			continue
		}
		named++
		if sources[folder] == "" {
			files, _ := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
			for _, f := range files {
				sources[folder] += read(t, f)
			}
		}
		if !strings.Contains(sources[folder], "\nfunc "+name+"(") {
			t.Errorf("there is no %s in %s", name, folder)
		}
	}
	if named < 40 {
		t.Errorf("only %d tests are named", named)
	}
}

// No two lines of the changelog begin alike, as those do that a rebase has doubled.
func TestChangelogRepeatsNothing(t *testing.T) {
	const enough = 70 // characters
	seen := map[string]bool{}
	for line := range strings.Lines(read(t, "../CHANGELOG.md")) {
		if len(line) < enough {
			continue
		}
		if seen[line[:enough]] {
			t.Errorf("there twice: %s", line)
		}
		seen[line[:enough]] = true
	}
	if len(seen) < 50 {
		t.Errorf("only %d lines were read", len(seen))
	}
}

// dependencies.md lists what go.mod does, with its versions, and what the program is linked from.
func TestDependencies(t *testing.T) {
	listed := map[string][]string{} // version, licence, for
	for _, m := range regexp.MustCompile(`(?m)^\| (\S+/\S+) \| (\S+) \| (\S+) \| (\S+) \|$`).FindAllStringSubmatch(read(t, "dependencies.md"), -1) {
		listed[m[1]] = m[2:]
	}
	required := regexp.MustCompile(`(?m)^\t(\S+) (v\S+)`).FindAllStringSubmatch(read(t, "../go.mod"), -1)
	for _, m := range required {
		if l := listed[m[1]]; l == nil || l[0] != m[2] {
			t.Errorf("%s %s is listed as %v", m[1], m[2], l)
		}
	}
	if len(required) != len(listed) || len(listed) < 10 {
		t.Errorf("%d are required, %d listed", len(required), len(listed))
	}
	linked := linkedInto(t)
	for module, l := range listed {
		if (l[2] == "program") != linked[module] {
			t.Errorf("%s is listed for %s; linked into the program: %v", module, l[2], linked[module])
		}
		licence(t, module, l[1])
	}
}

// linkedInto are the modules that the program is built from. To ask go takes no time; to link the program took 15 s.
func linkedInto(t *testing.T) map[string]bool {
	t.Helper()
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "../cmd/ec2net")
	list.Env = append(os.Environ(), "CGO_ENABLED=0")
	b, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for module := range strings.FieldsSeq(string(b)) {
		out[module] = true
	}
	return out
}

// licence compares what is listed with the module's own file, where the module is on this machine: one
// that only another platform needs is not.
func licence(t *testing.T, module, listed string) {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		return
	}
	files, _ := filepath.Glob(filepath.Join(dir, "LICEN*"))
	if len(files) == 0 { // a module below another one's folder has that one's
		return
	}
	words := map[string]string{
		"Apache-2.0": `Apache License`, "MIT": `Permission is hereby granted, free of charge`,
		"BSD-2-Clause": `Redistribution and use in source and binary forms`, "BSD-3-Clause": `Neither the name|names of its\s+contributors`,
	}
	if words[listed] == "" || !regexp.MustCompile(words[listed]).MatchString(read(t, files[0])) {
		t.Errorf("%s: its licence is not %s", module, listed)
	}
}
