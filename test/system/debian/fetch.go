package debian

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Fetch downloads packages of a release and unpacks them into dir, without their scripts. Of a kernel that is a name for
// others, such as linux-image-cloud-amd64, those are meant, as far as they depend on each other.
func Fetch(suite, dir string, names ...string) error {
	a := apt{suite: suite, dir: dir + ".apt"}
	defer os.RemoveAll(a.dir)
	if err := a.prepare(); err != nil {
		return err
	}
	for _, name := range names {
		all, err := a.kernel(name)
		if err != nil {
			return err
		}
		if _, err := a.run("apt-get", append([]string{"download"}, all...)...); err != nil {
			return err
		}
	}
	debs, err := filepath.Glob(a.dir + "/*.deb")
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if err := Run("dpkg-deb", "-x", deb, dir); err != nil {
			return err
		}
	}
	return nil
}

// apt is an apt with lists and settings of its own: the machine's are not touched.
type apt struct{ suite, dir string }

func (a apt) prepare() error {
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "empty"} {
		if err := os.MkdirAll(filepath.Join(a.dir, d), 0o755); err != nil {
			return err
		}
	}
	site, err := Mirror()
	if err != nil {
		return err
	}
	source := fmt.Sprintf("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n", site, a.suite)
	for name, text := range map[string]string{"sources.list": source, "status": ""} {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	_, err = a.run("apt-get", "update", "-qq")
	return err
}

func (a apt) run(name string, args ...string) (string, error) {
	set := []string{
		"-o", "Dir::Etc::SourceList=" + a.dir + "/sources.list", "-o", "Dir::Etc::SourceParts=" + a.dir + "/empty",
		"-o", "Dir::State=" + a.dir + "/state", "-o", "Dir::State::status=" + a.dir + "/status", "-o", "Dir::Cache=" + a.dir + "/cache",
		"-o", `Acquire::Languages=none`, "-o", "Acquire::Check-Valid-Until=false", "-o", "APT::Sandbox::User=root",
	}
	cmd := exec.Command(name, append(set, args...)...)
	cmd.Dir = a.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// kernel is a package, and, of one of the kernel's, all of the kernel's that it depends on: its image is one package up to
// trixie, and from forky on an empty one that depends on the binary, the modules and their lists.
func (a apt) kernel(name string) ([]string, error) {
	all := []string{name}
	if !strings.HasPrefix(name, "linux-") {
		return all, nil
	}
	for i := 0; i < len(all); i++ {
		out, err := a.run("apt-cache", "depends", all[i])
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(out) {
			dep, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: ")
			part := strings.HasPrefix(dep, "linux-image-") || strings.HasPrefix(dep, "linux-binary-") || strings.HasPrefix(dep, "linux-modules-") || strings.HasPrefix(dep, "linux-base-")
			if ok && part && !slices.Contains(all, dep) {
				all = append(all, dep)
			}
		}
	}
	return all, nil
}
