//go:build packages

package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// lintian has nothing to say, not even pedantically; an override that is not needed would be said too.
func TestLintian(t *testing.T) {
	for _, arch := range []string{debArch, otherDeb} {
		got, err := lint("lintian", "--allow-root", "--no-cfg", "--display-info", "--pedantic", "--display-experimental",
			"--tag-display-limit", "0", file(t, built, debName+arch+".deb"))
		if got != "" || err != nil {
			t.Errorf("%s: %v\n%s", arch, err, got)
		}
	}
}

func TestRPMLint(t *testing.T) {
	for _, arch := range []string{rpmArch, otherRPM} {
		got, err := lint("rpmlint", "--config", "rpmlint.toml", file(t, built, rpmName+arch+".rpm"))
		if err != nil || !strings.Contains(got, "0 errors, 0 warnings") {
			t.Errorf("%s: %v\n%s", arch, err, got)
		}
	}
}

func lint(name string, args ...string) (string, error) {
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "LC_ALL=C")
	b, err := c.CombinedOutput()
	return string(b), err
}

// Every filter of rpmlint filters something; lintian looks itself whether its overrides do.
func TestFiltersAreNeeded(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain.toml")
	conf := read(t, "rpmlint.toml")
	settings, filters, found := strings.Cut(conf, "\nFilters = [")
	if !found {
		t.Fatal("rpmlint.toml has no filters")
	}
	if err := os.WriteFile(plain, []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	said, _ := lint("rpmlint", "--config", plain, rpm(t))
	for _, m := range regexp.MustCompile(`(?m)^ +'(.*)',$`).FindAllStringSubmatch(filters, -1) {
		if !regexp.MustCompile("(?m)" + m[1]).MatchString(said) {
			t.Errorf("the filter %s filters nothing of\n%s", m[1], said)
		}
	}
}

// Each override and each filter has its reason above it.
func TestOverridesHaveReasons(t *testing.T) {
	for _, f := range []string{"lintian-overrides", "rpmlint.toml"} {
		reason := false
		for l := range strings.Lines(read(t, f)) {
			l = strings.TrimSpace(l)
			switch {
			case l == "":
				reason = false
			case strings.HasPrefix(l, "#"):
				reason = true
			case strings.HasPrefix(l, "'") && !reason, strings.HasPrefix(l, "ec2net:") && !reason:
				t.Errorf("%s: no reason for %s", f, l)
			}
		}
	}
}

// The scriptlets are POSIX sh, as they are in the packages.
func TestScriptletsAreSh(t *testing.T) {
	dir := t.TempDir()
	output(t, "dpkg-deb", "--control", deb(t), dir)
	scripts := []string{filepath.Join(dir, "preinst"), filepath.Join(dir, "postinst"), filepath.Join(dir, "prerm"), filepath.Join(dir, "postrm")}
	for _, tag := range []string{"POSTIN", "PREUN", "POSTUN", "POSTTRANS"} {
		f := filepath.Join(dir, tag)
		if err := os.WriteFile(f, []byte(output(t, "rpm", "-qp", "--queryformat", "%{"+tag+"}", rpm(t))), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := output(t, "rpm", "-qp", "--queryformat", "%{"+tag+"PROG}", rpm(t)); got != "/bin/sh" {
			t.Errorf("%s is run by %q", tag, got)
		}
		scripts = append(scripts, f)
	}
	for _, s := range scripts {
		output(t, "sh", "-n", s)
		output(t, "shellcheck", "--shell=sh", s)
	}
}
