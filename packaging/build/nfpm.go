package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	toolMod    = "packaging/tools/go.mod"
	rpmLibrary = "github.com/google/rpmpack"
)

// compileNFPM compiles nfpm and returns its path. Its rpm library begins the names in the payload with "/", where rpmbuild
// has "./", so that `rpm2cpio | cpio -i`, typed by root, writes into the root (nfpm issue 1122; nfpm 2.48 mends it with
// another library, which the module proxy does not serve). So it is compiled with a copy in which the one line that does so
// is another; the digests are then of what is written.
func (s stage) compileNFPM(ctx context.Context) (string, error) {
	mod, err := s.patchedTools(ctx)
	if err != nil {
		return "", fmt.Errorf("mend nfpm's rpm library: %w", err)
	}
	nfpm, err := output(ctx, "go", "tool", "-n", "-modfile="+mod, "nfpm")
	if err != nil {
		return "", fmt.Errorf("compile nfpm: %w", err)
	}
	return nfpm, nil
}

// patchedTools is a go.mod like that of the tools, with the mended library in the place of the published one.
func (s stage) patchedTools(ctx context.Context) (string, error) {
	from, err := output(ctx, "go", "list", "-modfile="+toolMod, "-f", "{{.Dir}}", rpmLibrary)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(s.dir, "nfpm")
	library, mod := filepath.Join(dir, "rpmpack"), filepath.Join(dir, "go.mod")
	if err := os.CopyFS(library, os.DirFS(from)); err != nil {
		return "", err
	}
	source := filepath.Join(library, "rpm.go")
	if err := rewrite(source, source, relativeNames); err != nil {
		return "", err
	}
	same := func(b []byte) ([]byte, error) { return b, nil }
	replaced := func(b []byte) ([]byte, error) {
		return fmt.Appendf(b, "\nreplace %s => %s\n", rpmLibrary, library), nil
	}
	if err := rewrite(toolMod, mod, replaced); err != nil {
		return "", err
	}
	return mod, rewrite(strings.TrimSuffix(toolMod, "mod")+"sum", filepath.Join(dir, "go.sum"), same)
}

// rewrite writes a file, changed, to another place or the same.
func rewrite(from, to string, change func([]byte) ([]byte, error)) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if b, err = change(b); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if err := os.Remove(to); err != nil && !os.IsNotExist(err) { // a copy from the module cache is read-only
		return err
	}
	return os.WriteFile(to, b, 0o644)
}

// relativeNames has the library write names as rpmbuild does.
func relativeNames(source []byte) ([]byte, error) {
	const absolute, relative = "hdr := &cpio.Header{\n\t\tName:  f.Name,\n", "hdr := &cpio.Header{\n\t\tName:  \".\" + f.Name,\n"
	if n := bytes.Count(source, []byte(absolute)); n != 1 {
		return nil, fmt.Errorf("the line that names a file of the payload is there %d times, not once: is this another version?", n)
	}
	return bytes.Replace(source, []byte(absolute), []byte(relative), 1), nil
}
