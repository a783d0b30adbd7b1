package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// stage is the folder in which everything lies as nfpm.yaml names it, with the modes and the date
// that it has in the packages.
type stage struct {
	dir string
	src source
}

// common puts there what is the same for every architecture.
func (s stage) common(ctx context.Context) error {
	for _, step := range []func(context.Context) error{s.texts, s.manuals, s.scriptlets, s.completions, s.changelogs} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// texts are the files that go into a package as they are.
func (s stage) texts(context.Context) error {
	for _, f := range []string{
		"systemd/ec2net-ifup@.service", "systemd/ec2net-scan.service", "systemd/ec2net-scan@.service",
		"systemd/networkd-ec2net.conf",
		"udev/99-ec2net.rules", "packaging/rt_protos.conf", "packaging/ec2net.toml",
		"packaging/copyright", "packaging/lintian-overrides", "LICENSE", "README.md", "CHANGELOG.md",
	} {
		b, err := os.ReadFile(f)
		if err != nil {
			return fmt.Errorf("file of the packages: %w", err)
		}
		if err := s.put(filepath.Base(f), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (s stage) manuals(context.Context) error {
	pages, err := filepath.Glob("packaging/man/*.[58]")
	if err != nil || len(pages) == 0 {
		return fmt.Errorf("no manual pages in packaging/man: %w", err)
	}
	for _, f := range pages {
		b, err := os.ReadFile(f)
		if err != nil {
			return fmt.Errorf("manual page: %w", err)
		}
		if err := s.putGzip(filepath.Base(f)+".gz", b); err != nil {
			return err
		}
	}
	return nil
}

// scriptlets puts the shared functions before each of them: a package's script is one file.
func (s stage) scriptlets(context.Context) error {
	const dir = "packaging/scriptlets/"
	shared, err := os.ReadFile(dir + "lib.sh")
	if err != nil {
		return fmt.Errorf("scriptlets: %w", err)
	}
	for _, name := range []string{"deb.preinst", "deb.postinst", "deb.prerm", "deb.postrm", "rpm.post", "rpm.preun", "rpm.postun", "rpm.posttrans"} {
		body, err := os.ReadFile(dir + name)
		if err != nil {
			return fmt.Errorf("scriptlets: %w", err)
		}
		if err := s.put(name, scriptlet(shared, body), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// scriptlet is one of the shared functions' first lines, the functions, and the body without its own
// first line.
func scriptlet(shared, body []byte) []byte {
	_, rest, _ := bytes.Cut(body, []byte("\n"))
	return append(append(bytes.Clone(shared), '\n'), rest...)
}

// completions asks the program, built for this machine, for its own.
func (s stage) completions(ctx context.Context) error {
	host := filepath.Join(s.dir, "host")
	if err := s.build(ctx, host); err != nil {
		return err
	}
	for shell, name := range map[string]string{"bash": "ec2net.bash", "zsh": "_ec2net", "fish": "ec2net.fish"} {
		text, err := output(ctx, host, "completion", shell)
		if err != nil {
			return fmt.Errorf("completions: %w", err)
		}
		if err := s.put(name, []byte(text+"\n"), 0o644); err != nil {
			return err
		}
	}
	for _, f := range []string{"old.bash", "_ec2net_old", "old.fish"} {
		b, err := os.ReadFile("packaging/completions/" + f)
		if err != nil {
			return fmt.Errorf("completions of the old names: %w", err)
		}
		if err := s.put(f, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (s stage) changelogs(context.Context) error {
	b, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return fmt.Errorf("changelog: %w", err)
	}
	notes, err := newest(string(b))
	if err != nil {
		return fmt.Errorf("CHANGELOG.md: %w", err)
	}
	return errors.Join(
		s.putGzip("changelog.gz", b),
		s.putGzip("changelog.Debian.gz", []byte(debianChangelog(notes, s.src))),
		s.put("changelog.yaml", []byte(rpmChangelog(notes, s.src)), 0o644),
	)
}

// build compiles ec2net as `make build` does. The commit is in the version already, and is not
// stamped a second time: an unpacked source archive gives the same program.
func (s stage) build(ctx context.Context, out string, env ...string) error {
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X main.version="+s.src.describe, "-o", out, "./cmd/ec2net")
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	c.Env = append(c.Env, env...)
	if b, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("compile ec2net: %w\n%s", err, b)
	}
	return s.mark(out, 0o755)
}

// packages compiles the program for one architecture, and makes its packages, side by side: compressing one takes seconds.
func (s stage) packages(ctx context.Context, nfpm, arch string, kinds []string, out string) error {
	if err := s.build(ctx, filepath.Join(s.dir, "ec2net"), "GOOS=linux", "GOARCH="+arch); err != nil {
		return err
	}
	files, errs := make([]string, len(kinds)), make([]error, len(kinds))
	var wg sync.WaitGroup
	for i, kind := range kinds {
		wg.Go(func() { files[i], errs[i] = s.pack(ctx, nfpm, arch, kind, out) })
	}
	wg.Wait()
	for _, f := range files {
		if f != "" {
			fmt.Println(f)
		}
	}
	return errors.Join(errs...)
}

// pack makes one package and returns its file.
func (s stage) pack(ctx context.Context, nfpm, arch, kind, out string) (string, error) {
	conf, err := s.config(kind)
	if err != nil {
		return "", err
	}
	c := exec.CommandContext(ctx, nfpm, "package", "--config", conf, "--packager", kind, "--target", out)
	c.Dir = s.dir
	c.Env = append(os.Environ(), s.environment(arch)...)
	b, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("make the %s: %w\n%s", kind, err, b)
	}
	return filepath.Join(out, filepath.Base(created(string(b)))), nil
}

// config is nfpm's, to which the rpm's changelog is added: nfpm would write a deb's with lines of any
// length, so that one has its own file.
func (s stage) config(kind string) (string, error) {
	b, err := os.ReadFile("packaging/nfpm.yaml")
	if err != nil {
		return "", fmt.Errorf("configuration of nfpm: %w", err)
	}
	if kind == "rpm" {
		b = append(b, "\nchangelog: changelog.yaml\n"...)
	}
	return filepath.Join(s.dir, kind+".yaml"), s.put(kind+".yaml", b, 0o644)
}

// environment is what nfpm.yaml asks for.
func (s stage) environment(arch string) []string {
	return []string{
		"ARCH=" + arch, "VERSION=" + s.src.version, "RELEASE=" + release, "MAINTAINER=" + s.src.maintainer,
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", s.src.date.Unix()),
	}
}

// created is the file that nfpm says it has made.
func created(said string) string {
	_, file, _ := strings.Cut(said, "created package: ")
	return strings.TrimSpace(file)
}

// put writes a file with exactly this mode, whatever the umask, and with the packages' date.
func (s stage) put(name string, b []byte, mode os.FileMode) error {
	f := filepath.Join(s.dir, name)
	if err := os.WriteFile(f, b, mode); err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	return s.mark(f, mode)
}

func (s stage) mark(f string, mode os.FileMode) error {
	if err := os.Chmod(f, mode); err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	if err := os.Chtimes(f, s.src.date, s.src.date); err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	return nil
}

// putGzip compresses without name and time, as gzip -9n does.
func (s stage) putGzip(name string, b []byte) error {
	var z bytes.Buffer
	w, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("compress %s: %w", name, err)
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("compress %s: %w", name, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("compress %s: %w", name, err)
	}
	return s.put(name, z.Bytes(), 0o644)
}
