package lab

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTree(t *testing.T) {
	eth1 := Eth1()
	eth1.MAC = [6]byte{2, 0, 0, 0, 0, 1}
	eth1.ID = "eni-0123456789abcdef0"
	eth1.Addrs4 = append(eth1.Addrs4, netip.MustParseAddr("10.0.2.99"))
	eth1.Addrs6 = []netip.Addr{netip.MustParseAddr("2001:db8:ec2:2::37"), netip.MustParseAddr("2001:db8:ec2:2::38")}
	eth1.Prefixes4 = []netip.Prefix{netip.MustParsePrefix("10.0.2.128/28")}
	eth1.Prefixes6 = []netip.Prefix{netip.MustParsePrefix("2001:db8:ec2:2:1::/80")}
	c := newCloud(t, Config{Interfaces: []Interface{Eth0(), eth1}, Instance: Identity{Tags: map[string]string{"Name": "web"}}})
	a := ask(t, c.Instance()).session()
	const dir = "network/interfaces/macs/02:00:00:00:00:01"
	for key, want := range map[string]string{
		"":                            "",
		"mac":                         "02:ec:20:00:00:00",
		"instance-id":                 "i-0ec2ec2ec2ec2ec20",
		"tags/instance/Name":          "web",
		"network/":                    "interfaces/",
		"network":                     "interfaces/",
		"network/interfaces/macs/":    "02:00:00:00:00:01/\n02:ec:20:00:00:00/",
		dir + "/device-number":        "1",
		dir + "/interface-id":         "eni-0123456789abcdef0",
		dir + "/mac":                  "02:00:00:00:00:01",
		dir + "/local-ipv4s":          "10.0.2.37\n10.0.2.99",
		dir + "/local-hostname":       "ip-10-0-2-37.eu-north-1.compute.internal",
		dir + "/ipv6s":                "2001:db8:ec2:2::37\n2001:db8:ec2:2::38",
		dir + "/ipv4-prefix":          "10.0.2.128/28",
		dir + "/ipv6-prefix":          "2001:db8:ec2:2:1::/80",
		dir + "/ipv4-associations/":   EIP2.String(),
		dir + "/ipv4-associations":    EIP2.String(),
		dir + "/subnet-id":            "subnet-c",
		dir + "/vpc-ipv4-cidr-block":  "10.0.0.0/16",
		dir + "/vpc-ipv4-cidr-blocks": "10.0.0.0/16",
		dir + "/vpc-ipv6-cidr-blocks": "2001:db8:ec2::/56",
		dir + "/owner-id":             "123456789012",
		dir + "/security-groups":      "default",
		dir + "/security-group-ids":   "sg-0ec2ec2ec2ec2ec20",
		dir + "/public-ipv4s":         EIP2.String(),

		dir + "/ipv4-associations/" + EIP2.String(): "10.0.2.37",
		dir + "/subnet-ipv4-cidr-block":             "10.0.2.0/24",
		dir + "/subnet-ipv6-cidr-blocks":            "2001:db8:ec2:2::/64",
	} {
		if got := a.get(200, key); want != "" && got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	for _, key := range []string{"nothing", "mac/", "network/interfaces/macs/02:00:00:00:00:02/", dir + "/network-card-index", "macs"} {
		a.get(404, key)
	}
}

// Everything that is listed is there, and everything that is a directory ends in a slash.
func TestTreeWalk(t *testing.T) {
	c := newCloud(t, Config{})
	a := ask(t, c.Instance()).session()
	leaves := 0
	var walk func(dir string)
	walk = func(dir string) {
		for _, entry := range strings.Split(a.get(200, dir), "\n") {
			if strings.HasSuffix(entry, "/") {
				walk(dir + entry)
				continue
			}
			leaves++
			if v := a.get(200, dir+entry); v == "" {
				t.Errorf("%s%s is empty", dir, entry)
			}
		}
	}
	walk("")
	if leaves < 40 {
		t.Errorf("%d leaves, want 40 and more", leaves)
	}
	if n := c.IMDS().Stats().Connections; n != 1 {
		t.Errorf("%d connections for one client, want 1", n)
	}
}

// Keys without a value are absent from the listing too; the network card's index is there when one of several.
func TestTreeAbsent(t *testing.T) {
	eth1 := Eth1()
	eth1.EIPs, eth1.NetworkCard, eth1.MAC = nil, 1, [6]byte{2, 0, 0, 0, 0, 1}
	c := newCloud(t, Config{Interfaces: []Interface{Eth0(), eth1}})
	a := ask(t, c.Instance()).session()
	keys := strings.Split(a.get(200, "network/interfaces/macs/02:00:00:00:00:01/"), "\n")
	for _, key := range []string{"ipv6s", "ipv4-prefix", "ipv6-prefix", "ipv4-associations/", "public-ipv4s"} {
		if slices.Contains(keys, key) {
			t.Errorf("%s is listed", key)
		}
	}
	if a.get(200, "network/interfaces/macs/02:00:00:00:00:01/network-card-index") != "1" ||
		a.get(200, "network/interfaces/macs/02:ec:20:00:00:00/network-card-index") != "0" {
		t.Error("the indices of the network interfaces are wrong")
	}
}

// The metadata follows what is done to the interfaces.
func TestTreeFollows(t *testing.T) {
	c := newCloud(t, Config{})
	a := ask(t, c.Instance()).session()
	k, err := c.Interface("eth1")
	must(t, err)
	dir := "network/interfaces/macs/" + k.MAC.String()
	second, eip := netip.MustParseAddr("10.0.2.50"), netip.MustParseAddr("203.0.113.5")
	must(t, c.Assign("eth1", second))
	must(t, c.AssociateEIP(second, eip))
	if got := a.get(200, dir+"/local-ipv4s"); got != "10.0.2.37\n10.0.2.50" {
		t.Errorf("after Assign: %q", got)
	}
	if got := a.get(200, dir+"/ipv4-associations/203.0.113.5"); got != "10.0.2.50" {
		t.Errorf("after AssociateEIP: %q", got)
	}
	must(t, c.Release("eth1", second))
	if got := a.get(200, dir+"/local-ipv4s"); got != "10.0.2.37" {
		t.Errorf("after Release: %q", got)
	}
	a.get(404, dir+"/ipv4-associations/203.0.113.5")
	must(t, c.Detach("eth1"))
	a.get(404, dir+"/")
}

// Each instance sees itself, and IPv6 works.
func TestTreeOfPeerAndIPv6(t *testing.T) {
	eth0 := Eth0()
	eth0.Addrs6 = []netip.Addr{netip.MustParseAddr("2001:db8:ec2::29")}
	c := newCloud(t, Config{Interfaces: []Interface{eth0}})
	peer, err := c.AddPeer("db", netip.MustParseAddr("10.0.2.80"))
	must(t, err)
	if id := ask(t, peer).session().get(200, "local-ipv4"); id != "10.0.2.80" {
		t.Errorf("the peer is told of %s", id)
	}
	a := ask(t, c.Instance())
	a.base = "http://[fd00:ec2::254]"
	if got := a.session().get(200, "ipv6"); got != "2001:db8:ec2::29" {
		t.Errorf("over IPv6: %s", got)
	}
	last := c.IMDS().Requests(time.Time{})
	if r := last[len(last)-1]; r.Source.Addr() != eth0.Addrs6[0] || r.Interface != "eth0" || !r.Token || r.Status != 200 {
		t.Errorf("recorded %+v", r)
	}
}
