package main

import (
	"net/netip"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// Main changes twice: its router is another one, and the operator's route comes while that is still being proved. The
// metadata, that is reached by IPv6 here, takes a second to answer by its new way.
func TestPrimaryFollowsMeanwhile(t *testing.T) {
	t.Parallel()
	c := cloud(t, dual(lab.Config{RPFilter: 1}))
	ip(t, c, "-6 route del default dev eth0") // its manager's
	one := advertise(t, c, "eth0", lab.Advert{Router: addr("fe80::1:1")})
	routers := func(n int) {
		t.Helper()
		eventually(t, hang, "routers", func() bool {
			return strings.Count(ip(t, c, "-6 route show default proto ra dev eth0"), "via") == n
		})
	}
	routers(1)
	keep(t, c, "eth1")
	k := keep(t, c, "eth0", "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://[fd00:ec2::254]")
	advertise(t, c, "eth0", lab.Advert{Router: addr("fe80::2:2")})
	routers(2)
	sshd, err := c.Instance().Echo(netip.AddrPortFrom(eth0v6, 22))
	must(t, err)
	session, err := c.Client().Stream(t.Context(), sshd.Addr)
	must(t, err)
	must(t, session.Alive(t.Context()))

	k.reload(t, c, "local-ipv4s")
	for _, cmd := range []string{"add table inet deaf", "add chain inet deaf in { type filter hook input priority 0; }", "add rule inet deaf in tcp dport 80 drop"} {
		if out, status := runOn(c.Fabric(), "nft '"+cmd+"'"); status != 0 {
			t.Fatal(out)
		}
	}
	must(t, one.Withdraw())
	eventually(t, hang, "the other router", func() bool {
		return strings.Contains(ip(t, c, "-6 route show table 10000"), "default via fe80::2:2")
	})
	ip(t, c, "-6 route add 2001:db8:ffff::/64 via fe80:ec2::1 dev eth0")
	if out, status := runOn(c.Fabric(), "nft delete table inet deaf"); status != 0 {
		t.Fatal(out)
	}
	eventually(t, hang, "answers leave by the operator's way", func() bool {
		return strings.Contains(ip(t, c, "-6 route get 2001:db8:ffff::146 from "+eth0v6.String()), "via fe80:ec2::1 ")
	})
	must(t, session.Alive(t.Context()))
	must(t, session.Close())
	if log := k.log.String(); strings.Contains(log, "rolled back") {
		t.Errorf("a false alarm:\n%s", log)
	}
}
