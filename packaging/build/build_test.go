package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPackageVersion(t *testing.T) {
	for _, c := range []struct {
		describe string
		commits  int
		want     string // "" for an error
	}{
		{"v1.2.3", 9, "1.2.3"},
		{"1.2", 9, "1.2"},
		{"v1.2.3-dirty", 9, "1.2.3+0.dirty"},
		{"v1.2.3-rc1", 9, "1.2.3~rc1"},
		{"v1.2.3-rc.1-4-gcc35656", 9, "1.2.3~rc.1+4.gcc35656"},
		{"v1.2.3-4-gcc35656", 9, "1.2.3+4.gcc35656"},
		{"v1.2.3-4-gcc35656-dirty", 9, "1.2.3+4.gcc35656.dirty"},
		{"cc35656", 7, "0~7.gcc35656"},
		{"1234567", 7, "0~7.g1234567"}, // a hash of digits alone
		{"cc35656-dirty", 7, "0~7.gcc35656.dirty"},
		{"dev", 0, "0~dev"},
		{"", 7, ""},
		{"v1", 7, ""},
		{"v1.2.3 ", 7, ""},
		{"v1.2.3_4", 7, ""},
		{"release-1.2.3", 7, ""},
		{"v1.2.3-rc1-beta", 7, ""},
		{"$(id)", 7, ""},
	} {
		got, err := packageVersion(c.describe, c.commits)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("packageVersion(%q, %d) = %q, %v; want %q", c.describe, c.commits, got, err, c.want)
		}
	}
}

// In the order of history; dpkg itself says which one is older.
func TestVersionsSortAsHistory(t *testing.T) {
	history := []struct {
		describe string
		commits  int
	}{
		{"dddddd1", 9}, {"ccccccc", 10}, {"v0.1.0-rc1", 11}, {"v0.1.0-rc1-2-gaaaaaaa", 13}, {"v0.1.0-rc2", 14},
		{"v0.1.0", 15}, {"v0.1.0-dirty", 15}, {"v0.1.0-9-gbbbbbbb", 24}, {"v0.1.0-10-gaaaaaaa", 25}, {"v0.1.1", 26}, {"v0.10.0", 40},
	}
	older := ""
	for _, h := range history {
		v, err := packageVersion(h.describe, h.commits)
		if err != nil {
			t.Fatal(err)
		}
		if older != "" {
			if out, err := exec.Command("dpkg", "--compare-versions", older, "lt", v).CombinedOutput(); err != nil {
				t.Errorf("dpkg does not take %s for older than %s: %v %s", older, v, err, out)
			}
		}
		older = v
	}
}

func TestDescribe(t *testing.T) {
	env := map[string]string{"VERSION": "v1.2.3-rc1", "SOURCE_DATE_EPOCH": "1700000000", "MAINTAINER": "A B <a@b.example>"}
	s, err := describe(t.Context(), func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	want := source{"v1.2.3-rc1", "1.2.3~rc1", "A B <a@b.example>", time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC)}
	if s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
	for _, bad := range []map[string]string{
		{"VERSION": "newest", "SOURCE_DATE_EPOCH": "1"},
		{"VERSION": "v1.0", "SOURCE_DATE_EPOCH": "yesterday"},
		{"VERSION": "v1.0", "SOURCE_DATE_EPOCH": "-1"},
		{"VERSION": "v1.0", "SOURCE_DATE_EPOCH": "4294967296"},
	} {
		if s, err := describe(t.Context(), func(k string) string { return bad[k] }); err == nil {
			t.Errorf("describe with %v = %+v, want an error", bad, s)
		}
	}
}

const log = `# Changelog

What changed.

## 1.1.0 (2026-12-01)

- ` + "`ec2net up`" + ` is faster, and this entry is so long that it has to be broken into several
  lines, because a changelog of Debian has lines of 80 characters.
- Another.

## 1.0.0

- Old.
`

func released() source {
	return source{version: "1.1.0", maintainer: "A B <a@b.example>", date: time.Date(2026, 12, 1, 8, 9, 10, 0, time.UTC)}
}

func TestDebianChangelog(t *testing.T) {
	notes, err := newest(log)
	if err != nil {
		t.Fatal(err)
	}
	want := `ec2net (1.1.0-1) unstable; urgency=medium

  * ec2net up is faster, and this entry is so long that it has to be broken
    into several lines, because a changelog of Debian has lines of 80
    characters.
  * Another.

 -- A B <a@b.example>  Tue, 01 Dec 2026 08:09:10 +0000
`
	if got := debianChangelog(notes, released()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRPMChangelog(t *testing.T) {
	notes, err := newest(log)
	if err != nil {
		t.Fatal(err)
	}
	want := `- semver: "1.1.0-1"
  date: 2026-12-01T08:09:10Z
  packager: "A B <a@b.example>"
  changes:
    - note: "ec2net up is faster, and this entry is so long that it has to be broken\n  into several lines, because a changelog of Debian has lines of 80\n  characters."
    - note: "Another."
`
	if got := rpmChangelog(notes, released()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestChangelogWithoutEntries(t *testing.T) {
	for _, s := range []string{"", "# Changelog\n", "# Changelog\n\n## 1.0\n", "## 1.0\n\n## 0.9\n\n- Old.\n"} {
		if notes, err := newest(s); err == nil {
			t.Errorf("newest(%q) = %q, want an error", s, notes)
		}
	}
}

func TestWrap(t *testing.T) {
	long := strings.Repeat("x", 100)
	for text, want := range map[string]int{"": 1, "one": 1, long: 1, "a " + long: 2, strings.Repeat("abcd ", 15): 2} {
		got := wrap(text)
		if len(got) != want {
			t.Errorf("wrap(%q) = %q, want %d lines", text, got, want)
		}
		if strings.Join(got, " ") != strings.TrimSpace(text) {
			t.Errorf("wrap(%q) lost something: %q", text, got)
		}
	}
}

func TestScriptlet(t *testing.T) {
	got := scriptlet([]byte("#!/bin/sh\nf() { :; }\n"), []byte("#!/bin/sh\n# Why.\nf\n"))
	if want := "#!/bin/sh\nf() { :; }\n\n# Why.\nf\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What is staged does not hang on the umask or the clock.
func TestPut(t *testing.T) {
	s := stage{dir: t.TempDir(), src: released()}
	if err := s.put("script", []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(s.dir, "script"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o755 || !info.ModTime().Equal(s.src.date) {
		t.Errorf("mode %v, date %v", info.Mode(), info.ModTime())
	}
	if err := s.put("no/such/folder", nil, 0o644); err == nil {
		t.Error("no error for a folder that is not there")
	}
}

func TestPutGzip(t *testing.T) {
	s := stage{dir: t.TempDir(), src: released()}
	if err := s.putGzip("page.gz", []byte("text")); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(s.dir, "page.gz"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil || string(text) != "text" {
		t.Errorf("got %q, %v", text, err)
	}
	if z.Name != "" || !z.ModTime.IsZero() {
		t.Errorf("name %q and time %v are in the file", z.Name, z.ModTime)
	}
}

func TestCreated(t *testing.T) {
	if got := created("using deb packager...\ncreated package: /tmp/x/ec2net_1.0-1_amd64.deb\n"); got != "/tmp/x/ec2net_1.0-1_amd64.deb" {
		t.Errorf("got %q", got)
	}
}

func TestRunElsewhere(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := run(t.Context(), "dist", []string{"amd64"}, []string{"deb"}); err == nil || !strings.Contains(err.Error(), "top folder") {
		t.Errorf("got %v, want an error that says where to run it", err)
	}
}

func TestOutputSaysWhatFailed(t *testing.T) {
	_, err := output(t.Context(), "sh", "-c", "echo no luck >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "no luck") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
}

// The library is changed in the one line that is meant, or not at all.
func TestRelativeNames(t *testing.T) {
	const line = "\thdr := &cpio.Header{\n\t\tName:  f.Name,\n"
	got, err := relativeNames([]byte("a" + line + "b"))
	if want := strings.Replace("a"+line+"b", "f.Name", "\".\" + f.Name", 1); string(got) != want || err != nil {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	for _, other := range []string{"", line + line, strings.ToUpper(line)} {
		if got, err := relativeNames([]byte(other)); err == nil {
			t.Errorf("%q became %q", other, got)
		}
	}
}
