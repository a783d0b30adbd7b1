package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
)

// option121 has a server of an interface give these static routes, each "10.9.0.0/16 10.0.2.1", in leases that are renewed
// after a second.
func option121(iface string, routes ...string) lab.DHCPFault {
	var list []lab.StaticRoute
	for _, r := range routes {
		dst, via, _ := strings.Cut(r, " ")
		list = append(list, lab.StaticRoute{Dst: netip.MustParsePrefix(dst), Via: addr(via)})
	}
	return lab.DHCPFault{Interface: iface, Lease: time.Minute, T1: time.Second, T2: 50 * time.Second, Options: map[uint8][]byte{121: lab.Classless(list...)}}
}

// staticRoutes are main's routes of ours through the interface beside its subnet's and the default, "10.9.0.0/16 via …".
func staticRoutes(t *testing.T, c *lab.Cloud, iface, subnet string) string {
	t.Helper()
	var out []string
	for _, line := range strings.Split(ip(t, c, "-N route show table main proto 236 dev "+iface), "\n") {
		if f := strings.Fields(line); len(f) > 0 && f[0] != subnet && f[0] != "default" {
			out = append(out, strings.Join(f, " "))
		}
	}
	return strings.Join(out, "\n")
}

// The routes that a lease brings lead what the host sends, too, and go when a renewed lease has them no more, or others.
func TestStaticRoutesFollowTheLease(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{RPFilter: 1})
	heal := spoilDHCP(t, c, option121("eth1", "198.51.100.0/24 10.0.2.1", "10.9.0.0/16 10.0.2.9", "0.0.0.0/0 10.0.2.1"))
	keep(t, c, "eth0")
	k := keep(t, c, "eth1")
	const client = "198.51.100.0/24 via 10.0.2.1 src 10.0.2.37 metric 10001"
	if got, want := staticRoutes(t, c, "eth1", "10.0.2.0/24"), "10.9.0.0/16 via 10.0.2.9 src 10.0.2.37 metric 10001\n"+client; got != want {
		t.Errorf("main has\n%s\nwant\n%s", got, want)
	}
	says(t, ip(t, c, "route get "+lab.ClientIP.String()), "via 10.0.2.1 dev eth1 src 10.0.2.37")
	answers(t, c, lab.EIP1)
	answers(t, c, lab.EIP2)
	sound := func(static string) {
		t.Helper()
		eventually(t, hang, "main has "+static, func() bool { return staticRoutes(t, c, "eth1", "10.0.2.0/24") == static })
		eventually(t, hang, "nothing to do", func() bool {
			out, status := on(t, c, "ec2net", "--cloud", "ec2", "plan", "eth1")
			return status == exitOK && out == ""
		})
	}
	heal()
	heal = spoilDHCP(t, c, option121("eth1", "198.51.100.0/24 10.0.2.1", "0.0.0.0/0 10.0.2.1"))
	sound(client)
	heal()
	spoilDHCP(t, c, lab.DHCPFault{Interface: "eth1", Lease: time.Minute, T1: time.Second, T2: 50 * time.Second})
	sound("")
	if out := ip(t, c, "-N route show table 10001"); strings.Contains(out, "10.9.") || strings.Contains(out, "198.51.") {
		t.Errorf("table 10001 has routes that the lease has no more:\n%s", out)
	}
	says(t, ip(t, c, "route get "+lab.ClientIP.String()), "dev eth0 src 10.0.0.29")
	k.stop(t)
}

// A lease leads the host's own traffic to no place of the host's other interfaces: not the metadata, the primary's subnet,
// the Internet. That is said, and the rest is set up.
func TestStaticRoutesRefused(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{RPFilter: 1})
	evil := []string{"169.254.169.254/32", "169.254.169.0/24", "168.0.0.0/6", "10.0.0.0/25", "10.0.0.1/32"}
	for i := range evil {
		evil[i] += " 10.0.2.66"
	}
	spoilDHCP(t, c, option121("eth1", append(evil, "10.9.0.0/16 10.0.2.9")...))
	ec2net(t, c, exitOK, "up", "eth0")
	before := ip(t, c, "route get 169.254.169.254")
	ec2net(t, c, exitPartial, "up", "eth1")
	ec2net(t, c, exitOK, "up", "eth0") // now that there is an interface beside it
	const refused = "is not added to the main table: "
	left := statusOf1(t, c, "eth1")
	for _, why := range []string{"169.254.169.0/24 " + refused + "it leads to 169.254.169.254, a server of the cloud, too", "168.0.0.0/6 " + refused + "it leads to a part of the Internet",
		"10.0.0.0/25 " + refused + "another interface is in 10.0.0.0/24", "10.0.0.1/32 " + refused + "another interface is in 10.0.0.0/24"} {
		says(t, left, "the lease's route to "+why)
	}
	if n := strings.Count(left, refused); n != 4 || !strings.Contains(left, "left out    the lease's route") {
		t.Errorf("%d are left out:\n%s", n, left)
	}
	if got, want := staticRoutes(t, c, "eth1", "10.0.2.0/24"), "10.9.0.0/16 via 10.0.2.9 src 10.0.2.37 metric 10001"; got != want {
		t.Errorf("main has\n%s\nwant\n%s", got, want)
	}
	if now := ip(t, c, "route get 169.254.169.254"); now != before {
		t.Errorf("the way to the metadata was\n%sand is\n%s", before, now)
	}
	answers(t, c, lab.EIP2)
	says(t, left, "drift       none")
	if findings, status := diagnosis(t, c); roots(findings) != "warn left-out eth1" || status != exitOK {
		t.Errorf("status %d\n%s", status, report(t, c))
	}
	if out := ec2net(t, c, exitPartial, "up", "eth1"); strings.Contains(out, "+ route") {
		t.Errorf("a second time:\n%s", out)
	}
}

// More static routes than any cloud gives are cut.
func TestStaticRoutesTooMany(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{RPFilter: 1})
	var list []string
	for i := range 70 {
		list = append(list, fmt.Sprintf("10.9.%d.0/24 10.0.2.9", i))
	}
	spoilDHCP(t, c, option121("eth1", list...))
	says(t, ec2net(t, c, exitPartial, "up", "eth1"), "the lease has 70 static routes (option 121): only the first 64 are used")
	answers(t, c, lab.EIP2)
	if n := strings.Count(staticRoutes(t, c, "eth1", "10.0.2.0/24"), "via"); n != 64 {
		t.Errorf("main has %d static routes", n)
	}
}

// Azure's routes to its own servers lead the host by the primary's lease, and by no other interface's, which would be taken
// for the primary then.
func TestStaticRoutesOfAzure(t *testing.T) {
	t.Parallel()
	c := azureCloud(t, lab.Config{RPFilter: 1})
	c.IMDS().Limit(0)
	gateway := " 172.22.5.1"
	spoilDHCP(t, c, option121("eth2", "0.0.0.0/0"+gateway, "168.63.129.16/32"+gateway, "169.254.169.254/32"+gateway, "10.9.0.0/16"+gateway))
	for _, iface := range []string{"eth1", "eth2", "eth1"} {
		ec2net(t, c, exitOK, "up", iface)
	}
	if got, want := staticRoutes(t, c, "eth2", "172.22.5.0/26"), "10.9.0.0/16 via 172.22.5.1 src 172.22.5.4 metric 14202"; got != want {
		t.Errorf("main has\n%s\nwant\n%s", got, want)
	}
	for _, server := range []string{"168.63.129.16", "169.254.169.254"} {
		says(t, ip(t, c, "route get "+server), "dev eth1 src 172.22.5.68")
	}
	says(t, ec2net(t, c, exitOK, "status"), "eth1: primary interface")
	answers(t, c, lab.EIP1)
	answers(t, c, lab.EIP2)
}

// Where ec2net configures the host itself, the routes of the primary's lease are the host's, to Azure's servers too; they
// stay with what the host lives by.
func TestStaticRoutesOfTheHost(t *testing.T) {
	t.Parallel()
	c := unconfigured(t, lab.Config{Cloud: lab.Azure, RPFilter: 1})
	k := keep(t, c, "eth1")
	const want = "168.63.129.16 via 172.22.5.65 src 172.22.5.68 metric 512\n169.254.169.254 via 172.22.5.65 src 172.22.5.68 metric 512"
	check := func() {
		t.Helper()
		if got := staticRoutes(t, c, "eth1", "172.22.5.64/26"); got != want {
			t.Errorf("main has\n%s\nwant\n%s", got, want)
		}
	}
	check()
	k.stop(t)
	ec2net(t, c, exitOK, "down", "eth1")
	check()
	ec2net(t, c, exitOK, "down", "--lease", "eth1")
	if out := ip(t, c, "-N route show table all proto 236"); out != "" {
		t.Errorf("left behind:\n%s", out)
	}
}
