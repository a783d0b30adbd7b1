package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// The part of the page between these lines is written by this program alone.
const (
	partBegins = "<!-- make test-releases writes what follows. -->\n"
	partEnds   = "<!-- So far. -->\n"
)

// columns are the releases of the page, the oldest first.
var columns = [...]struct{ suite, title string }{
	{"bullseye", "11 bullseye"}, {"bookworm", "12 bookworm"}, {"trixie", "13 trixie"}, {"forky", "14 forky"},
}

// write replaces the page's part.
func write(file string, r results) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(b), partBegins)
	_, after, ends := strings.Cut(rest, partEnds)
	if !begins || !ends {
		return fmt.Errorf("%s has no part between %q and %q", file, partBegins, partEnds)
	}
	return os.WriteFile(file, []byte(before+partBegins+render(r)+partEnds+after), 0o644)
}

// render is the part: versions, what passed, what was measured.
func render(r results) string {
	var out strings.Builder
	out.WriteString("\n")
	table(&out, "", versionRows(r))
	out.WriteString("\nPlug → answer, and the longest gap of an open connection in two restarts of the manager:\n\n")
	table(&out, "beside", figureRows(r))
	out.WriteString("\nIn containers, on the kernel of the machine that ran them:\n\n")
	table(&out, "test", testRows(r, func(name string) bool { return !strings.HasPrefix(name, machineTest) }))
	out.WriteString("\nIn virtual machines, on the release's own kernel:\n\n")
	table(&out, "test", testRows(r, func(name string) bool { return strings.HasPrefix(name, machineTest) }))
	out.WriteString("\n")
	return out.String()
}

// machineTest begins the names of the tests that boot virtual machines.
const machineTest = "TestVM/"

func table(out *strings.Builder, corner string, rows [][]string) {
	head := []string{corner}
	for _, c := range columns {
		head = append(head, c.title)
	}
	line := func(cells []string) { fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | ")) }
	line(head)
	fmt.Fprintf(out, "|%s\n", strings.Repeat("---|", len(head)))
	for _, row := range rows {
		line(row)
	}
}

// across makes a row of the page from what there is of each release.
func across(first string, cell func(suite string) string) []string {
	row := []string{first}
	for _, c := range columns {
		row = append(row, cmp.Or(cell(c.suite), "not run"))
	}
	return row
}

// versionTest says, by attributes, what a root has, and the kernel below it.
const versionTest = "TestVersions"

// versionKeys are those attributes.
var versionKeys = [...]string{"systemd", "NetworkManager", "dhcpcd", "ifupdown", "iproute2"}

func versionRows(r results) (rows [][]string) {
	for _, key := range versionKeys {
		rows = append(rows, across(key, func(suite string) string { return r[suite][versionTest].Said[key] }))
	}
	rows = append(rows, across("kernel of the containers", func(suite string) string { return r[suite][versionTest].Said["kernel"] }))
	rows = append(rows, across("kernel of the virtual machines", func(suite string) string { return r[suite][machineTest+"boot"].Said["kernel"] }))
	return append(rows, across("tested at", func(suite string) string { return when(r[suite]) }))
}

// when is the commits that a release's results are of, and the first and the last day.
func when(tests map[string]result) string {
	var commits, days []string
	for _, t := range tests {
		commits, days = append(commits, t.Commit), append(days, t.Date)
	}
	if len(days) == 0 {
		return ""
	}
	slices.Sort(commits)
	slices.Sort(days)
	return strings.Join(append(slices.Compact(commits), slices.Compact(days)...), ", ")
}

// plugTest boots the first interface with a static address and no manager; managerTest has a part for each of them.
const (
	plugTest    = "TestPlug"
	managerTest = "TestBesideManager/"
)

func figureRows(r results) (rows [][]string) {
	rows = append(rows, across("no manager", func(suite string) string { return seconds(r[suite][plugTest].Said["plug"]) }))
	for _, name := range r.names() {
		manager, ok := strings.CutPrefix(name, managerTest)
		if !ok {
			continue
		}
		rows = append(rows, across(manager, func(suite string) string {
			said := r[suite][name].Said
			return strings.Trim(seconds(said["plug"])+", gap "+seconds(said["restart"]), ", gap")
		}))
	}
	return rows
}

// seconds is a duration as the page has it; what is none is not there.
func seconds(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// testRows are the tests that a release has a result of.
func testRows(r results, ours func(name string) bool) (rows [][]string) {
	for _, name := range r.names() {
		if ours(name) && name != versionTest {
			rows = append(rows, across("`"+name+"`", func(suite string) string { return words()[r[suite][name].Outcome] }))
		}
	}
	return rows
}

func words() map[string]string { return map[string]string{"pass": "passes", "fail": "**fails**"} }
