//go:build packages

package packaging_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ec2net/test/system/debian"
)

// The same source gives the same packages in another folder, on a machine of another name, with
// another umask, time zone, language and home.
func TestReproducible(t *testing.T) {
	first, err := built()
	if err != nil {
		t.Fatal(err)
	}
	second := elsewhere(t)
	want := []string{debName + "amd64.deb", debName + "arm64.deb", rpmName + "aarch64.rpm", rpmName + "x86_64.rpm"}
	slices.Sort(want)
	for _, dir := range []string{first, second} {
		if got := names(t, dir); !slices.Equal(got, want) {
			t.Fatalf("packages are %q, want %q", got, want)
		}
	}
	for _, name := range want {
		a, b := read(t, filepath.Join(first, name)), read(t, filepath.Join(second, name))
		if a != b {
			t.Errorf("%s differs: %d and %d bytes, from byte %d on", name, len(a), len(b), differ(a, b))
		}
	}
}

// elsewhere builds a copy of the tree.
func elsewhere(t *testing.T) string {
	t.Helper()
	first, err := snapshot()
	if err != nil {
		t.Fatal(err)
	}
	tree := t.TempDir()
	if err := os.CopyFS(tree, os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(tree, "out")
	c := exec.Command("sh", "-c", `umask 077; hostname another-machine; exec go run ./packaging/build -out "$0" -arch amd64,arm64`, out)
	c.Dir = tree
	c.Env = append(os.Environ(), "VERSION="+version, "SOURCE_DATE_EPOCH="+epoch, "TZ=Asia/Tokyo", "LC_ALL=C.UTF-8", "USER=another",
		"HOME="+t.TempDir(), "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GOPATH="+goEnv(t, "GOPATH"))
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUTS}
	if b, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return out
}

// copySources copies what git has, and what it does not ignore: no .git, no earlier build.
func copySources(from, to string) error {
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = from
	files, err := list.Output()
	if err != nil {
		return fmt.Errorf("list the sources: %w", err)
	}
	for f := range strings.SplitSeq(strings.TrimRight(string(files), "\x00"), "\x00") {
		err := debian.Copy(filepath.Join(from, f), filepath.Join(to, f))
		if err != nil && !os.IsNotExist(err) { // deleted, and git does not know yet
			return fmt.Errorf("copy the sources: %w", err)
		}
	}
	return nil
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(output(t, "go", "env", name))
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func differ(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// Nothing in a package has another date than the source's.
func TestDates(t *testing.T) {
	const date = "2026-11-21 13:30"
	for l := range strings.Lines(output(t, "dpkg-deb", "--contents", deb(t))) {
		if !strings.Contains(l, date) {
			t.Errorf("deb: another date: %s", l)
		}
	}
	for l := range strings.Lines(output(t, "rpm", "-qp", "--queryformat", `[%{FILEMTIMES} %{FILENAMES}\n]%{BUILDTIME} build\n%{CHANGELOGTIME} changelog\n`, rpm(t))) {
		if !strings.HasPrefix(l, epoch+" ") {
			t.Errorf("rpm: another date: %s", l)
		}
	}
	if host := output(t, "rpm", "-qp", "--queryformat", "%{BUILDHOST}", rpm(t)); host != "localhost" {
		t.Errorf("the rpm names the machine %q that built it", host)
	}
	if bytes.Contains([]byte(read(t, deb(t))), []byte(os.Getenv("EC2NET_PACKAGES"))) {
		t.Error("the deb names the folder that it was built in")
	}
}
