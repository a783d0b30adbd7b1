package main

import (
	"strings"
	"testing"

	"ec2net/test/lab"
)

// A forwarded address may be any of the Internet. Where it is that of somebody who is logged in, it would make the host
// answer itself: the change is rolled back, and the session goes on, whichever interface it came by.
func TestGCEForwardedClient(t *testing.T) {
	t.Parallel()
	for iface, tt := range map[string]struct {
		private string
		public  string
	}{"eth0": {"10.10.0.29", lab.EIP1.String()}, "eth1": {"10.20.0.37", lab.EIP2.String()}} {
		t.Run(iface, func(t *testing.T) {
			t.Parallel()
			c := gceCloud(t, func(*lab.Config) {})
			k := keep(t, c, iface)
			end := session(t, c, tt.private, addr(tt.public))
			spoil(t, c, lab.Fault{Interface: iface, Path: "forwarded-ips", JSON: value(`["198.51.100.146"]`)})
			k.reload(t, c)
			eventually(t, hang, "the change is rolled back", func() bool { return strings.Contains(k.log.String(), "would go to this host itself") })
			end()
			if got := ip(t, c, "route show table local"); strings.Contains(got, "198.51.100.146") {
				t.Errorf("the client's address is the host's own:\n%s", got)
			}
		})
	}
}
