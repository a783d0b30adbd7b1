package lab

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ec2net/test/testkit"
)

// The sandbox is what Main promises.
func TestSandbox(t *testing.T) {
	run, err := os.ReadDir("/run")
	must(t, err)
	for _, e := range run {
		t.Errorf("/run holds %s", e.Name())
	}
	ifaces, err := os.ReadDir("/sys/class/net")
	must(t, err)
	if len(ifaces) != 1 || ifaces[0].Name() != "lo" {
		t.Errorf("/sys/class/net holds %v", ifaces)
	}
}

// publicDir is a directory that everybody can look into.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lab")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o777))
	return dir
}

// An ordinary user's clouds work the same: the seed, the metadata, DHCP with a real client, and commands.
func TestUnprivileged(t *testing.T) {
	dir := publicDir(t)
	b, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	exe := filepath.Join(dir, "lab.test")
	must(t, os.WriteFile(exe, b, 0o755))
	line := append(testkit.AsNobody(t), exe, "-test.run=^(TestSandbox|TestSeed002|TestTree|TestDHCPLease|TestCommand|TestIPv6|TestCapture|TestCloseEndsProcesses)$", "-test.v")
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, sandboxEnv+"=") || strings.HasPrefix(kv, "GOCOVERDIR=")
	})
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if n := strings.Count(out.String(), "\n--- PASS: Test"); n != 8 {
		t.Errorf("%d tests passed, want 8\n%s", n, out.String())
	}
}

// The sandbox passes on exit statuses and does not swallow what it cannot do.
func TestRunIsolated(t *testing.T) {
	code, err := runIsolated(exec.Command("sh", "-c", "exit 7"))
	if err != nil || code != 7 {
		t.Errorf("%d %v", code, err)
	}
	if _, err := runIsolated(exec.Command("/no/such/program")); err == nil || !strings.Contains(err.Error(), "make namespaces") {
		t.Errorf("%v", err)
	}
}
