package main

import (
	"strings"
	"testing"

	"ec2net/test/lab"
)

// A forwarded address may be any of the Internet. Where it is that of somebody who is logged in, it would make the host
// answer itself. It is left out, not a byte of the session is lost, whichever interface it came by, and once the session
// has ended the address is set up.
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
			eventually(t, hang, "the address is left out", func() bool {
				return strings.Contains(k.log.String(), "left out 198.51.100.146 until the connection that this host has with 198.51.100.146 ends")
			})
			if got := ip(t, c, "route show table local"); strings.Contains(got, "198.51.100.146") {
				t.Errorf("the client's address is the host's own:\n%s", got)
			}
			if got := k.log.String(); strings.Contains(got, "rolled back") {
				t.Errorf("a change was rolled back:\n%s", got)
			}
			end()
			eventually(t, hang, "the address is set up", func() bool {
				k.reload(t, c)
				return strings.Contains(ip(t, c, "route show table local"), "198.51.100.146")
			})
		})
	}
}
