package docs_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// registries are the hosts of package registries, in parts, so that this file does not name them either.
var registries = [...][]string{
	{"deb", "debian", "org"}, {"ftp", "debian", "org"}, {"security", "debian", "org"}, {"snapshot", "debian", "org"}, {"archive", "debian", "org"},
	{"archive", "ubuntu", "com"}, {"security", "ubuntu", "com"}, {"ports", "ubuntu", "com"}, {"ppa", "launchpad", "net"},
	{"proxy", "golang", "org"}, {"sum", "golang", "org"}, {"goproxy", "io"},
	{"pypi", "org"}, {"pythonhosted", "org"}, {"registry", "npmjs", "org"}, {"crates", "io"}, {"rubygems", "org"},
	{"registry-1", "docker", "io"}, {"index", "docker", "io"}, {"ghcr", "io"}, {"quay", "io"}, {"download", "docker", "com"}, {"fedoraproject", "org"},
}

// What is installed comes from where the machine's own apt and Go are told to get it: no file names a registry's host.
func TestNoRegistryIsNamed(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (hidden(d.Name()) || name == "../bin" || name == "../dist"):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		seen++
		for _, parts := range registries {
			if host := strings.Join(parts, "."); bytes.Contains(bytes.ToLower(b), []byte(host)) {
				t.Errorf("%s names %s", name, host)
			}
		}
		return nil
	})
	if err != nil || seen < 500 {
		t.Errorf("%d files are read, %v", seen, err)
	}
}

// hidden are git's folder and the tests' cache.
func hidden(folder string) bool {
	return strings.HasPrefix(folder, ".") && folder != ".." && folder != ".ci"
}
