//go:build system

package system

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"ec2net/test/system/debian"
)

// What each release has is said in attributes: the table of docs/releases.md has it from here.
func TestVersions(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Attr("suite", suite)
			dhcpcd := "dhcpcd-base"
			if suite == debian.Bullseye {
				dhcpcd = "dhcpcd5"
			}
			for key, name := range map[string]string{
				"systemd": "systemd", "NetworkManager": "network-manager", "dhcpcd": dhcpcd, "ifupdown": "ifupdown", "iproute2": "iproute2",
			} {
				out, err := exec.Command("dpkg-query", "--admindir="+os.Getenv(rootEnv+suite)+"/var/lib/dpkg", "--show", "--showformat=${Version}", name).CombinedOutput()
				if err != nil {
					t.Fatalf("the version of %s: %v: %s", name, err, out)
				}
				t.Attr(key, string(out))
			}
			release, err := os.ReadFile("/proc/sys/kernel/osrelease")
			if err != nil {
				t.Fatal(err)
			}
			version, _, _ := strings.Cut(strings.TrimSpace(string(release)), "-") // not whose build it is
			t.Attr("kernel", version)
		})
	}
}
