//go:build packages

package packaging_test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ec2net/config"
)

func pages(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("man/*.[58]")
	if err != nil || len(list) != 6 {
		t.Fatalf("pages are %q, %v; want 6", list, err)
	}
	return list
}

// Both formatters have nothing to say of any page.
func TestManualsAreClean(t *testing.T) {
	for _, f := range pages(t) {
		if b, err := exec.Command("mandoc", "-T", "lint", "-W", "warning", f).CombinedOutput(); err != nil || len(b) > 0 {
			t.Errorf("mandoc: %v %s", err, b)
		}
		var said bytes.Buffer
		c := exec.Command("man", "--warnings", "--encoding=UTF-8", "--local-file", "-Tutf8", "-Z", f)
		c.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=80", "MANROFFSEQ=")
		c.Stderr = &said
		if err := c.Run(); err != nil || said.Len() > 0 {
			t.Errorf("man %s: %v %s", f, err, said.String())
		}
	}
}

// text is a page as it is read, on lines of any length.
func text(t *testing.T, page string) string {
	t.Helper()
	return output(t, "mandoc", "-T", "ascii", "-O", "width=1000", "man/"+page)
}

// plain takes a terminal's overstrikes off.
func plain(s string) string {
	return regexp.MustCompile(`.\x08`).ReplaceAllString(s, "")
}

// program is ec2net of the package.
func program(t *testing.T) string {
	t.Helper()
	return filepath.Join(unpacked(t), "usr/sbin/ec2net")
}

var (
	flagInHelp    = regexp.MustCompile(`(?m)^ +(?:-(\w), )?--([a-z-]+)`)
	commandInHelp = regexp.MustCompile(`(?m)^  ([a-z]+)  +\S`)
	flagInPage    = regexp.MustCompile(`(^|[\s\[,(])(--?[a-z][a-z-]*)`)
)

// helped are the flags and the commands that the program's help names.
func helped(t *testing.T, program string) (flags, commands map[string]bool) {
	t.Helper()
	flags, commands = map[string]bool{}, map[string]bool{}
	help := output(t, program, "--help")
	_, list, _ := strings.Cut(help, "Available Commands:")
	list, _, _ = strings.Cut(list, "\nFlags:")
	for _, m := range commandInHelp.FindAllStringSubmatch(list, -1) {
		commands[m[1]] = true
		help += output(t, program, m[1], "--help")
	}
	for _, m := range flagInHelp.FindAllStringSubmatch(help, -1) {
		flags["--"+m[2]] = true
		if m[1] != "" {
			flags["-"+m[1]] = true
		}
	}
	return flags, commands
}

// ec2net(8) names each flag and each command of the program, and no other.
func TestManualNamesEveryFlag(t *testing.T) {
	flags, commands := helped(t, program(t))
	if len(flags) < 8 || len(commands) < 7 {
		t.Fatalf("the help has only %v and %v", flags, commands)
	}
	page := plain(text(t, "ec2net.8"))
	named := map[string]bool{}
	for _, m := range flagInPage.FindAllStringSubmatch(page, -1) {
		named[m[2]] = true
	}
	compare(t, "flags", flags, named)

	_, synopsis, _ := strings.Cut(page, "SYNOPSIS")
	synopsis, _, _ = strings.Cut(synopsis, "DESCRIPTION")
	named = map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^ +ec2net (?:\[options\] )?([a-z]+)`).FindAllStringSubmatch(synopsis, -1) {
		named[m[1]] = true
	}
	compare(t, "commands", commands, named)
}

func compare(t *testing.T, what string, help, page map[string]bool) {
	t.Helper()
	if h, p := slices.Sorted(maps.Keys(help)), slices.Sorted(maps.Keys(page)); !slices.Equal(h, p) {
		t.Errorf("%s of the help are %q, of the page %q", what, h, p)
	}
}

// The pages of the old names name each flag of their own command, and no other.
func TestManualsOfOldNames(t *testing.T) {
	p := program(t)
	for name, command := range map[string]string{"ec2ifup": "up", "ec2ifdown": "down", "ec2ifscan": "scan"} {
		help, _, _ := strings.Cut(output(t, p, command, "--help"), "Global Flags:")
		_, help, _ = strings.Cut(help, "\nFlags:")
		flags, named := map[string]bool{}, map[string]bool{}
		for _, m := range flagInHelp.FindAllStringSubmatch(help, -1) {
			if m[2] != "help" {
				flags["--"+m[2]] = true
			}
		}
		page := plain(text(t, name+".8"))
		for _, m := range flagInPage.FindAllStringSubmatch(page, -1) {
			named[m[2]] = true
		}
		compare(t, name+"'s flags", flags, named)
		if !strings.Contains(page, "ec2net "+command) {
			t.Errorf("%s(8) does not say that it is ec2net %s", name, command)
		}
	}
}

// Exit statuses as in the README, to the letter of their numbers, and some of them tried.
func TestManualExitStatuses(t *testing.T) {
	page := plain(text(t, "ec2net.8"))
	_, statuses, _ := strings.Cut(page, "EXIT STATUS")
	statuses, _, _ = strings.Cut(statuses, "EXAMPLES")
	got := regexp.MustCompile(`(?m)^ +(\d) +\S`).FindAllStringSubmatch(statuses, -1)
	want := regexp.MustCompile(`(?m)^\| (\d) \|`).FindAllStringSubmatch(read(t, "../README.md"), -1)
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("the page has %d statuses, the README %d", len(got), len(want))
	}
	for i := range got {
		if got[i][1] != want[i][1] {
			t.Errorf("status %s, the README has %s", got[i][1], want[i][1])
		}
	}
	p := program(t)
	for args, want := range map[string]int{
		"status": 0, "up": 2, "up a/b": 2, "--cloud moon status": 2, "--log-level loud status": 2, "fly": 2,
		"--config " + broken(t) + " --cloud ec2 plan lo": 2,
	} {
		c := exec.Command(p, strings.Fields(args)...)
		c.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+t.TempDir())
		b, _ := c.CombinedOutput()
		if got := c.ProcessState.ExitCode(); got != want {
			t.Errorf("ec2net %s: status %d, want %d: %s", args, got, want, b)
		}
	}
}

func broken(t *testing.T) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "broken.toml")
	if err := os.WriteFile(f, []byte("manage = maybe\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return f
}

// ec2net.toml(5) explains each key of the example configuration and no other, and its own example is
// one.
func TestManualOfConfiguration(t *testing.T) {
	example := read(t, "ec2net.toml")
	keys, named := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#?([a-z_]+) = `).FindAllStringSubmatch(example, -1) {
		keys[m[1]] = true
	}
	source := read(t, "man/ec2net.toml.5")
	for _, m := range regexp.MustCompile(`(?m)^\.It Cm (.*)$`).FindAllStringSubmatch(source, -1) {
		for key := range strings.SplitSeq(m[1], " , Cm ") {
			named[key] = true
		}
	}
	compare(t, "keys", keys, named)

	_, examples, _ := strings.Cut(source, ".Sh EXAMPLES")
	_, literal, _ := strings.Cut(examples, ".Bd -literal -offset indent\n")
	literal, _, _ = strings.Cut(literal, ".Ed")
	if _, err := config.Parse("ec2net.toml(5)", []byte(literal)); err != nil || !strings.Contains(literal, "[[interface]]") {
		t.Errorf("the page's example: %v\n%s", err, literal)
	}
}

// The example configuration is one, as it is and with everything in it switched on.
func TestExampleConfiguration(t *testing.T) {
	f := filepath.Join(unpacked(t), "usr/share/doc/ec2net/examples/ec2net.toml")
	if _, err := config.Load(f); err != nil {
		t.Error(err)
	}
	on := regexp.MustCompile(`(?m)^#([a-z_]+ = |\[)`).ReplaceAllString(read(t, f), "$1")
	c, err := config.Parse(f, []byte(on))
	if err != nil {
		t.Error(err)
	}
	want := config.Default().Defaults
	want.Priority = 1000 // a value is shown of a key that has none by default
	if c.Defaults != want {
		t.Errorf("the values shown are not the defaults: %+v", c.Defaults)
	}
}

// What the pages say of files is what the package has.
func TestManualFiles(t *testing.T) {
	dir := unpacked(t)
	for _, f := range pages(t) {
		for _, m := range regexp.MustCompile(`(?m)^\.(?:It )?Pa (/(?:usr|etc/iproute2)/\S+)`).FindAllStringSubmatch(read(t, f), -1) {
			if _, err := os.Stat(filepath.Join(dir, m[1])); err != nil {
				t.Errorf("%s names %s: %v", f, m[1], err)
			}
		}
	}
}
