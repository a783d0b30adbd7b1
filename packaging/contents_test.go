//go:build packages

package packaging_test

import (
	"debug/elf"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden lists of contents anew")

// golden compares with a list below testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	f := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(f, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(read(t, f), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", f, diff)
	}
}

// Every path of the deb with its kind, mode and owner.
func TestDebContents(t *testing.T) {
	line := regexp.MustCompile(`^(\S+) (\S+) +\d+ \S+ \S+ (.*)\n$`)
	for _, arch := range []string{debArch, otherDeb} {
		var b strings.Builder
		for l := range strings.Lines(output(t, "dpkg-deb", "--contents", file(t, built, debName+arch+".deb"))) {
			b.WriteString(line.ReplaceAllString(l, "$1 $2 $3\n"))
		}
		golden(t, "contents.deb", b.String())
	}
}

// The same of the rpm, with its flags: d is documentation, l a licence, cn a kept configuration.
func TestRPMContents(t *testing.T) {
	const format = `[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILEFLAGS:fflags} %{FILENAMES} %{FILELINKTOS}\n]`
	for _, arch := range []string{rpmArch, otherRPM} {
		got := output(t, "rpm", "-qp", "--queryformat", format, file(t, built, rpmName+arch+".rpm"))
		golden(t, "contents.rpm", regexp.MustCompile(` +\n| +`).ReplaceAllStringFunc(got, func(s string) string {
			if strings.HasSuffix(s, "\n") {
				return "\n"
			}
			return " "
		}))
	}
}

// What the packages say of themselves, but for size and checksum.
func TestDebControl(t *testing.T) {
	got := output(t, "dpkg-deb", "--field", deb(t))
	golden(t, "control.deb", regexp.MustCompile(`(?m)^Installed-Size: \d+\n`).ReplaceAllString(got, ""))
	if got := output(t, "dpkg-deb", "--info", deb(t), "conffiles"); got != "/etc/iproute2/rt_protos.d/ec2net.conf\n" {
		t.Errorf("conffiles are %q", got)
	}
	if got := output(t, "dpkg-deb", "--field", file(t, built, debName+otherDeb+".deb"), "Architecture"); got != "arm64\n" {
		t.Errorf("architecture of the other deb is %q", got)
	}
}

func TestRPMControl(t *testing.T) {
	const format = `Name: %{NAME}\nVersion: %{VERSION}-%{RELEASE}\nLicense: %{LICENSE}\nSummary: %{SUMMARY}\n` +
		`[Provides: %{PROVIDENEVRS}\n][Obsoletes: %{OBSOLETENEVRS}\n][Conflicts: %{CONFLICTNEVRS}\n][Recommends: %{RECOMMENDNEVRS}\n][Requires: %{REQUIRENEVRS}\n]`
	golden(t, "control.rpm", output(t, "rpm", "-qp", "--queryformat", format, rpm(t)))
	if got := output(t, "rpm", "-qp", "--queryformat", "%{ARCH}", file(t, built, rpmName+otherRPM+".rpm")); got != "aarch64" {
		t.Errorf("architecture of the other rpm is %q", got)
	}
}

// The program is static, for the package's architecture, without symbols, and knows its version.
func TestProgram(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{debArch: elf.EM_X86_64, otherDeb: elf.EM_AARCH64} {
		dir := t.TempDir()
		output(t, "dpkg-deb", "--extract", file(t, built, debName+arch+".deb"), dir)
		f, err := elf.Open(filepath.Join(dir, "usr/sbin/ec2net"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Machine != machine {
			t.Errorf("%s: the program is for %v", arch, f.Machine)
		}
		if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC }) {
			t.Errorf("%s: the program is not static", arch)
		}
		if f.Section(".symtab") != nil || f.Section(".debug_info") != nil {
			t.Errorf("%s: the program has symbols", arch)
		}
	}
	if got := output(t, filepath.Join(unpacked(t), "usr/sbin/ec2net"), "--version"); got != "ec2net version "+version+"\n" {
		t.Errorf("it says %q", got)
	}
}

// The rpm has the very same program and texts as the deb.
func TestSameFiles(t *testing.T) {
	dir := unpacked(t)
	list := output(t, "rpm", "-qp", "--queryformat", `[%{FILEDIGESTS} %{FILENAMES}\n]`, rpm(t))
	same := 0
	for l := range strings.Lines(list) {
		digest, name, _ := strings.Cut(strings.TrimSpace(l), " ")
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil || !info.Mode().IsRegular() || len(digest) != 64 {
			continue
		}
		same++
		if got := strings.Fields(output(t, "sha256sum", filepath.Join(dir, name)))[0]; got != digest {
			t.Errorf("%s is not the same in deb and rpm", name)
		}
	}
	if same < 15 {
		t.Errorf("only %d files are in both packages", same)
	}
}

// What systemd and udev are told is what the source tree has; a unit names only what the package has.
func TestSourcesArePackaged(t *testing.T) {
	dir := unpacked(t)
	for from, to := range map[string]string{
		"../systemd/ec2net-ifup@.service": "usr/lib/systemd/system/ec2net-ifup@.service",
		"../systemd/ec2net-scan.service":  "usr/lib/systemd/system/ec2net-scan.service",
		"../systemd/ec2net-scan@.service": "usr/lib/systemd/system/ec2net-scan@.service",
		"../systemd/networkd-ec2net.conf": "usr/lib/systemd/networkd.conf.d/ec2net.conf",
		"../udev/99-ec2net.rules":         "usr/lib/udev/rules.d/99-ec2net.rules",
		"rt_protos.conf":                  "etc/iproute2/rt_protos.d/ec2net.conf",
		"ec2net.toml":                     "usr/share/doc/ec2net/examples/ec2net.toml",
	} {
		if read(t, from) != read(t, filepath.Join(dir, to)) {
			t.Errorf("%s is not %s", to, from)
		}
	}
	for _, folder := range []string{"../systemd", "../udev"} {
		files, err := filepath.Glob(folder + "/*.*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile("build/stage.go")
			if err != nil || !strings.Contains(string(b), strings.TrimPrefix(f, "../")) {
				t.Errorf("%s is in no package: see build/stage.go and nfpm.yaml", f)
			}
		}
	}
}
