//go:build system

package system

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
)

// defaultMetric is the metric of a default route in the text of `ip route`; none: 0.
var defaultMetric = regexp.MustCompile(`dev (\S+).* metric (\d+)`)

// Two interfaces that a network manager configures at a boot, and ec2net that begins while the metadata is silent, with no
// record. Whatever metrics the manager gives their default routes, one interface counts as the primary and is not touched,
// the other one is set up by its address alone, and both answer. systemd-networkd's metrics are equal; NetworkManager
// counts them in the order in which it activates (100, 101), and dhcpcd by index (1002, 1003).
func TestTwoWithoutMetadata(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		for _, mgr := range managers(suite) {
			if mgr.name == "ifupdown" { // dhclient's script adds default routes of metric 0, of which the kernel takes the first alone
				continue
			}
			t.Run(mgr.name, func(t *testing.T) {
				t.Parallel()
				two := second()
				m := start(t, options{suite: suite, unmanaged: true, files: with(renamed(two), mgr.files),
					cloud: lab.Config{Interfaces: []lab.Interface{lab.Eth0(), two}}})
				m.answers(labtest.EIP(two), hang)
				if err := m.cloud.IMDS().Silence(); err != nil {
					t.Fatal(err)
				}
				m.run("sh", "-c", "systemctl stop 'ec2net-ifup@*'; ec2net down ens6; ec2net down eth0; rm -rf /run/ec2net")
				m.run("systemctl", "start", "--no-block", "ec2net-ifup@ens6", "ec2net-ifup@eth0")
				m.until(hang, said("an interface is degraded"), func() bool {
					return strings.Contains(m.try("ec2net", "status"), "waiting for the metadata (") && strings.Contains(m.try("ec2net", "status"), ": degraded: 10.0.")
				})
				m.answers(lab.EIP1, hang)
				m.answers(labtest.EIP(two), hang)
				routes := m.run("ip", "-4", "route", "show", "default")
				t.Logf("%s:\n%s", mgr.name, routes)
				metrics := []string{}
				for _, found := range defaultMetric.FindAllStringSubmatch(routes, -1) {
					if !strings.Contains(found[0], "236") && len(found[2]) < 5 {
						metrics = append(metrics, found[2])
					}
				}
				slices.Sort(metrics)
				equal := len(metrics) == 2 && metrics[0] == metrics[1]
				status := m.run("ec2net", "status")
				if equal != strings.Contains(status, "ens6: degraded: 10.0.2.37/24 as systemd-networkd set it up") || equal != strings.Contains(status, "eth0 counts as the primary") {
					t.Errorf("equal metrics: %t\n%s", equal, status)
				}
				if n := strings.Count(status, ": degraded: "); n != 1 {
					t.Errorf("%d interfaces are degraded:\n%s", n, status)
				}
				if equal != (mgr.name == "networkd") {
					t.Errorf("equal metrics: %t", equal)
				}
				if err := m.cloud.IMDS().Resume(); err != nil {
					t.Fatal(err)
				}
				m.active("eth0")
				m.until(hang, said("the metadata counts"), func() bool { return strings.Contains(m.try("ec2net", "status", "ens6"), "table 10001") })
				m.answers(lab.EIP1, hang)
				m.answers(labtest.EIP(two), hang)
			})
		}
	})
}
