package debian

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Fetch downloads packages of a release and unpacks them into dir, without their scripts. Of a package
// that is only a name for others, such as linux-image-cloud-amd64, what it depends on is meant.
func Fetch(suite, dir string, names ...string) error {
	a := apt{suite: suite, dir: dir + ".apt"}
	defer os.RemoveAll(a.dir)
	if err := a.prepare(); err != nil {
		return err
	}
	for _, name := range names {
		real, err := a.real(name)
		if err != nil {
			return err
		}
		if _, err := a.run("apt-get", "download", real); err != nil {
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
		"-o", `Acquire::Languages=none`, "-o", "APT::Sandbox::User=root",
	}
	cmd := exec.Command(name, append(set, args...)...)
	cmd.Dir = a.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// real follows a package of the kernel's kind to the one that holds it.
func (a apt) real(name string) (string, error) {
	out, err := a.run("apt-cache", "depends", name)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if dep, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-"); ok {
			return "linux-image-" + dep, nil
		}
	}
	return name, nil
}
