package main

import (
	"net/netip"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// A block that Azure grants is delegated as EC2's is: each address of it answers by the interface.
func TestAzureBlocks(t *testing.T) {
	t.Parallel()
	four, six := netip.MustParsePrefix("172.22.5.32/28"), netip.MustParsePrefix("2001:db8:a2e:2:1::/80")
	c := azureCloud(t, lab.Config{RPFilter: 1, Interfaces: []lab.Interface{
		{Name: "eth1", Addrs4: []netip.Addr{addr("172.22.5.68")}, EIPs: map[netip.Addr]netip.Addr{addr("172.22.5.68"): lab.EIP1}},
		{
			Name: "eth2", Addrs4: []netip.Addr{addr("172.22.5.4")}, Prefixes4: []netip.Prefix{four}, Prefixes6: []netip.Prefix{six},
			Addrs6: []netip.Addr{addr("2001:db8:a2e:2::4")}, EIPs: map[netip.Addr]netip.Addr{addr("172.22.5.4"): lab.EIP2},
		},
	}})
	peer, err := c.AddPeer("neighbour", addr("172.22.5.140"))
	must(t, err)
	configure(t, c, `prefixes = "local"`)
	ec2net(t, c, exitOK, "up", "eth2")
	if out := ec2net(t, c, exitOK, "plan", "eth2"); out != "" {
		t.Errorf("plan after up:\n%s", out)
	}
	for _, a := range []string{"2001:db8:a2e:2:1::47", lab.EIP1.String(), lab.EIP2.String()} {
		answers(t, c, addr(a))
	}
	reaches(t, peer, addr("172.22.5.47"), lab.Ping{}) // an address of the block
	says(t, ip(t, c, "rule"), "from 172.22.5.32/28 lookup 14202")
	says(t, ip(t, c, "-6 rule"), "from 2001:db8:a2e:2:1::/80 lookup 14202")
	if out := ip(t, c, "-o addr show dev eth2"); strings.Contains(out, "172.22.5.32/") {
		t.Errorf("the block was taken for an address:\n%s", out)
	}
	configure(t, c, "")
	ec2net(t, c, exitOK, "up", "eth2")
	says(t, ip(t, c, "rule"), "from 172.22.5.32/28 lookup 14202")
	silent(t, c, addr("2001:db8:a2e:2:1::47"))
	ec2net(t, c, exitOK, "down", "eth2")
	if rules := ip(t, c, "rule"); strings.Contains(rules, "14202") {
		t.Errorf("after down:\n%s", rules)
	}
}
