package docs_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// section is the part of architecture.md under one heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(read(t, "architecture.md"), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("architecture.md has no section %q", heading)
	}
	part, _, _ := strings.Cut(rest, "\n## ")
	return part
}

// rows are the tables' lines of a text, cell by cell, without the heads.
func rows(text string) (out [][]string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		out = append(out, cells)
	}
	return out
}

// bare is a cell without its backquotes.
func bare(cell string) string { return strings.Trim(cell, "`") }

var (
	quotedWord = regexp.MustCompile("`([^`\n]+)`")
	pathWord   = regexp.MustCompile(`^[A-Za-z.][\w@*.-]*(/[\w@*.-]*)+$|^[\w-]+\.(md|mod|toml)$|^Makefile$`)
	nameWord   = regexp.MustCompile(`^([a-z][a-z0-9]*)((?:\.[A-Za-z]\w*)+)$`)
	nameInText = regexp.MustCompile(`\b([a-z][a-z0-9]*)((?:\.[A-Za-z]\w*)+)\b`)
)

// Every path and every package.Name of the page is there.
func TestArchitectureNames(t *testing.T) {
	text, known, paths, names := read(t, "architecture.md"), sources(t), 0, 0
	check := func(folder, name string) {
		names++
		if !known.declares(folder, strings.Split(name[1:], ".")) {
			t.Errorf("there is no %s%s", folder, name)
		}
	}
	for _, fence := range regexp.MustCompile("(?s)```mermaid\n(.*?)```").FindAllStringSubmatch(text, -1) {
		for _, m := range nameInText.FindAllStringSubmatch(fence[1], -1) {
			check(m[1], m[2])
		}
	}
	text = regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text, "")
	for _, m := range quotedWord.FindAllStringSubmatch(text, -1) {
		if pathWord.MatchString(m[1]) {
			paths++
			if found, _ := filepath.Glob(filepath.Join("..", m[1])); len(found) == 0 {
				t.Errorf("there is no %s", m[1])
			}
		} else if n := nameWord.FindStringSubmatch(m[1]); n != nil {
			check(n[1], n[2])
		}
	}
	if paths < 100 || names < 80 {
		t.Errorf("only %d paths and %d names", paths, names)
	}
}

// The table of the packages has each of the program's, and what it imports of the others.
func TestArchitecturePackages(t *testing.T) {
	listed := map[string]string{}
	for _, r := range rows(section(t, "Packages")) {
		if len(r) == 3 {
			listed[bare(r[0])] = strings.ReplaceAll(r[2], "`", "")
		}
	}
	for folder, p := range sources(t) {
		if !p.product || len(p.files) == 0 {
			continue
		}
		calls := strings.Join(p.imports(), ", ")
		if got, ok := listed[folder]; !ok || (got != calls && (calls != "" || got != "none")) {
			t.Errorf("%s calls %q, the table says %q", folder, calls, got)
		}
	}
}

// The table of /run/ec2net has each file that the package state names, and no other.
func TestArchitectureFiles(t *testing.T) {
	listed := []string{}
	for _, r := range rows(section(t, "The files of /run/ec2net")) {
		if name := bare(r[0]); len(r) == 5 && name != r[0] {
			listed = append(listed, strings.TrimPrefix(name, "NAME"))
		}
	}
	named := []string{".NAME-*"} // what Store.replace writes and then renames
	for _, f := range sources(t)["state"].files {
		for _, c := range constants(f) {
			if c.text != "" && strings.ContainsAny(c.text[:1], ".:") {
				named = append(named, c.text)
			}
		}
	}
	slices.Sort(listed)
	slices.Sort(named)
	if !slices.Equal(listed, named) {
		t.Errorf("listed are %q, package state names %q", listed, named)
	}
}

// Every constant of time in the program is in the table of timers, and what is there has the value that it says.
func TestArchitectureTimers(t *testing.T) {
	type place struct{ file, name string }
	listed := map[place]string{}
	for _, r := range rows(section(t, "Timers and limits")) {
		if len(r) == 4 && r[0] != bare(r[0]) {
			listed[place{bare(r[2]), bare(r[0])}] = r[1]
		}
	}
	for folder, p := range sources(t) {
		for base, f := range p.files {
			for _, c := range constants(f) {
				at := place{folder + "/" + base, c.name}
				value, in := listed[at]
				delete(listed, at)
				switch {
				case !in && c.time && p.product:
					t.Errorf("the timer %s of %s is in no table", c.name, at.file)
				case in && !c.is(value):
					t.Errorf("%s of %s is %d, the table says %q", c.name, at.file, c.value, value)
				}
			}
		}
	}
	for at, value := range listed {
		if strings.HasPrefix(at.file, "systemd/") && strings.Contains(read(t, "../"+at.file), "\n"+at.name+"="+value+"\n") {
			continue
		}
		t.Errorf("%s has no %s (%s)", at.file, at.name, value)
	}
}

// The tables of the phases and of the exit statuses have each of them, the statuses with their names in the program.
func TestArchitectureStatuses(t *testing.T) {
	listed, phases, named := map[string]string{}, []string{}, []string{}
	for _, r := range rows(section(t, "The life of an interface")) {
		switch {
		case len(r) == 4:
			listed[strings.TrimPrefix(bare(r[1]), "ec2net.")] = r[0]
		case r[0] != bare(r[0]):
			phases = append(phases, bare(r[0]))
		}
	}
	for _, c := range constants(sources(t)["state"].files["phase.go"]) {
		named = append(named, c.text)
	}
	if !slices.Equal(phases, named) {
		t.Errorf("the phases are %q, the table has %q", named, phases)
	}
	found := 0
	for _, f := range sources(t)["cmd/ec2net"].files {
		for _, c := range constants(f) {
			if !strings.HasPrefix(c.name, "exit") {
				continue
			}
			found++
			if !c.is(listed[c.name]) {
				t.Errorf("%s is %d, the table says %q", c.name, c.value, listed[c.name])
			}
		}
	}
	if found < 7 {
		t.Errorf("only %d statuses", found)
	}
}

// imports are the program's packages that this one imports, in order.
func (p pkg) imports() (out []string) {
	for _, f := range p.files {
		for _, i := range f.Imports {
			name, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "ec2net/")
			if ours && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// declares: the folder of that name, or one of several, declares the name, or the type with that method or field.
func (all packages) declares(folder string, name []string) bool {
	for path, p := range all {
		if filepath.Base(path) == folder && ((len(name) == 1 && p.names[name[0]]) || (len(name) == 2 && p.names[name[0]+"."+name[1]])) {
			return true
		}
	}
	return false
}
