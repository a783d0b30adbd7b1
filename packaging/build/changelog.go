package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// newest lists the entries of CHANGELOG.md's first section, which is this version's; older sections
// are in the whole file, which is in the packages too.
func newest(markdown string) ([]string, error) {
	_, section, _ := strings.Cut("\n"+markdown, "\n## ")
	section, _, _ = strings.Cut(section, "\n## ")
	entries := strings.Split(section, "\n- ")
	if len(entries) < 2 { // the first one is the heading
		return nil, errors.New("the first section (## …) has no entries (- …)")
	}
	notes := make([]string, 0, len(entries))
	for _, e := range entries[1:] {
		notes = append(notes, strings.ReplaceAll(strings.Join(strings.Fields(e), " "), "`", ""))
	}
	return notes, nil
}

// debianChangelog is one entry as in deb-changelog(5).
func debianChangelog(notes []string, s source) string {
	var b strings.Builder
	fmt.Fprintf(&b, "ec2net (%s-%s) unstable; urgency=medium\n\n", s.version, release)
	for _, n := range notes {
		fmt.Fprintf(&b, "  * %s\n", strings.Join(wrap(n), "\n    "))
	}
	fmt.Fprintf(&b, "\n -- %s  %s\n", s.maintainer, s.date.Format(time.RFC1123Z))
	return b.String()
}

// rpmChangelog is the same for the rpm, as nfpm reads it.
func rpmChangelog(notes []string, s source) string {
	var b strings.Builder
	fmt.Fprintf(&b, "- semver: %q\n  date: %s\n  packager: %q\n  changes:\n", s.version+"-"+release, s.date.Format(time.RFC3339), s.maintainer)
	for _, n := range notes {
		fmt.Fprintf(&b, "    - note: %q\n", strings.Join(wrap(n), "\n  "))
	}
	return b.String()
}

// wrap breaks a text into lines of 72 characters: with their indentation they fit into 80.
func wrap(text string) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > 72 {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
