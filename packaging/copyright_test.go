//go:build packages

package packaging_test

import (
	"debug/buildinfo"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// modules are those that are linked into the program, with the folders of their sources.
func modules(t *testing.T) map[string]string {
	t.Helper()
	info, err := buildinfo.ReadFile(program(t))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, m := range info.Deps {
		all[m.Path] = strings.TrimSpace(output(t, "go", "list", "-C", "..", "-m", "-f", "{{.Dir}}", m.Path))
	}
	return all
}

// The copyright file names each module that is linked in, and no other.
func TestCopyrightNamesEveryModule(t *testing.T) {
	listed := []string{}
	for _, m := range regexp.MustCompile(`(?m)^(?:Files:)? ([a-z.]+\.[a-z]+/\S+)/\*$`).FindAllStringSubmatch(read(t, "copyright"), -1) {
		listed = append(listed, m[1])
	}
	linked := []string{}
	for path := range modules(t) {
		linked = append(linked, path)
	}
	slices.Sort(listed)
	slices.Sort(linked)
	if !slices.Equal(listed, linked) {
		t.Errorf("listed are\n%s\nlinked are\n%s", strings.Join(listed, "\n"), strings.Join(linked, "\n"))
	}
}

var holder = regexp.MustCompile(`(?im)^\s*copyright (?:\(c\) )?(\d[^\n]*?)\s*$`)

// The paragraph of each module has the holders that its licence names, its kind of licence, and what
// its NOTICE says (section 4 of Apache-2.0).
func TestCopyrightOfEachModule(t *testing.T) {
	kinds := map[string]*regexp.Regexp{
		"Apache-2.0":   regexp.MustCompile(`Apache License\s+Version 2\.0`),
		"BSD-2-Clause": regexp.MustCompile(`Redistribution and use in source and binary forms`),
		"BSD-3-Clause": regexp.MustCompile(`Redistribution and use in source and binary forms[\s\S]*Neither the name`),
		"MIT":          regexp.MustCompile(`Permission is hereby granted, free of charge`),
	}
	for path, dir := range modules(t) {
		p := paragraph(t, path)
		licence := legal(t, dir, "licen")
		for _, m := range holder.FindAllStringSubmatch(licence, -1) {
			if !strings.Contains(p, m[1]) {
				t.Errorf("%s: the holder %q is missing", path, m[1])
			}
		}
		kind := regexp.MustCompile(`(?m)^License: (Apache-2\.0|BSD-[23]-Clause|MIT)`).FindStringSubmatch(p)
		if kind == nil || !kinds[kind[1]].MatchString(licence) {
			t.Errorf("%s: the licence is not %q", path, kind)
		}
		for l := range strings.Lines(legal(t, dir, "notice")) {
			if !strings.Contains(p, strings.TrimSpace(l)) {
				t.Errorf("%s: of its NOTICE is missing: %s", path, l)
			}
		}
	}
}

func paragraph(t *testing.T, path string) string {
	t.Helper()
	for p := range strings.SplitSeq(read(t, "copyright"), "\n\n") {
		if strings.Contains(p, " "+path+"/*\n") {
			return p
		}
	}
	t.Errorf("no paragraph for %s", path)
	return ""
}

// legal is the text of a module's files whose names begin so; a module in a folder of another has the
// other's, too.
func legal(t *testing.T, dir, begin string) (text string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(strings.ToLower(e.Name()), begin) && e.Type().IsRegular() {
			text += read(t, filepath.Join(dir, e.Name()))
		}
	}
	return text
}

// Each kind of licence that a paragraph names has its text, and no text is there for nothing.
func TestCopyrightHasEveryText(t *testing.T) {
	all := read(t, "copyright")
	named, texts := map[string]bool{}, map[string]bool{}
	for p := range strings.SplitSeq(all, "\n\n") {
		m := regexp.MustCompile(`(?m)^License: (\S+)`).FindStringSubmatch(p)
		switch {
		case m == nil:
		case strings.HasPrefix(p, "License:"):
			texts[m[1]] = true
		default:
			named[m[1]] = true
		}
	}
	compare(t, "licences (paragraphs, texts)", named, texts)
}
