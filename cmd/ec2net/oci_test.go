package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
)

// ociCloud is Oracle's machine of two VNICs in two subnets, if cfg does not say otherwise.
func ociCloud(t *testing.T, cfg lab.Config) *lab.Cloud {
	t.Helper()
	cfg.Cloud = lab.OCI
	return cloud(t, cfg)
}

// nobodyAsks: no DHCP client was heard on any interface but the primary since they were ready. Before that, one may ask:
// until the metadata answer, it could be the primary.
func nobodyAsks(t *testing.T, c *lab.Cloud, since time.Time) {
	t.Helper()
	for _, m := range c.DHCP().Messages(since) {
		if m.Interface != c.Interfaces()[0].Name {
			t.Errorf("%s asked for a lease: %s", m.Interface, m.Type)
		}
	}
}

// Two VNICs, once: each answers, the second one without a lease and with the primary's MTU; the second plan is empty,
// and `down` leaves nothing.
func TestOCIUpPlanDown(t *testing.T) {
	t.Parallel()
	for _, rpFilter := range []int{0, 1, 2} {
		t.Run(fmt.Sprint(rpFilter), func(t *testing.T) {
			t.Parallel()
			c := ociCloud(t, lab.Config{RPFilter: rpFilter})
			before := world(t, c)
			for _, iface := range []string{"eth1", "eth0"} {
				ec2net(t, c, exitOK, "up", iface)
			}
			for _, iface := range []string{"eth0", "eth1"} {
				if plan := ec2net(t, c, exitOK, "plan", iface); plan != "" {
					t.Errorf("%s: plan after up:\n%s", iface, plan)
				}
			}
			answers(t, c, lab.EIP1)
			answers(t, c, lab.EIP2)
			says(t, ip(t, c, "link show dev eth1"), "mtu 9000", "altname ocid1.vnic.oc1.phx.0ec2")
			says(t, ip(t, c, "addr show dev eth1"), "10.0.2.37/24")
			says(t, ip(t, c, "route get 198.51.100.146 from 10.0.2.37"), "via 10.0.2.1 dev eth1")
			says(t, ip(t, c, "route get 169.254.169.254"), "dev eth0")
			says(t, ip(t, c, "route get 169.254.2.2"), "dev eth0")
			if found, status := diagnosis(t, c); status != exitOK {
				t.Errorf("the doctor finds, with status %d:\n%s", status, textOf(t, found))
			}
			for _, iface := range []string{"eth0", "eth1"} {
				ec2net(t, c, exitOK, "down", iface)
			}
			unchanged(t, c, before, "up and down")
		})
	}
}

// A VNIC that the metadata are slow to show, or show without an address, is waited for, whatever the server says: neither
// an address nor a rule is there meanwhile. A lease may be asked for: it could be the primary.
func TestOCILate(t *testing.T) {
	t.Parallel()
	c := ociCloud(t, lab.Config{RPFilter: 1})
	for name, fault := range map[string]lab.Fault{
		"missing":         {Interface: "eth1", Absent: true},
		"half there":      {Interface: "eth1", Path: "privateIp", Absent: true},
		"not found":       {Status: 404},
		"too many":        {Status: 429},
		"not available":   {Status: 503},
		"cut":             {Body: lab.Cut},
		"somebody else's": {Body: `{"interface":[]}`},
	} {
		heal := spoil(t, c, fault)
		k := start(t, c, "eth1")
		k.notify.await(t, "STATUS=waiting")
		if rules := ip(t, c, "rule"); strings.Contains(rules, "from 10.0.2.37") {
			t.Errorf("%s: rules\n%s", name, rules)
		}
		heal()
		k.notify.await(t, "READY=1")
		answers(t, c, lab.EIP2)
		k.stop(t)
		ec2net(t, c, exitOK, "down", "eth1")
	}
}

// ociMatrix has a primary and three secondary VNICs, two in each of two subnets, each with three IPv6 addresses.
func ociMatrix(rpFilter int) lab.Config {
	p := netip.MustParsePrefix
	cfg := lab.Config{Cloud: lab.OCI, RPFilter: rpFilter, VPC: []netip.Prefix{p("10.0.0.0/16"), p("2001:db8:ec2::/56")}}
	for i, name := range []string{"subnet-a", "subnet-c", "subnet-d"} {
		n := []int{0, 2, 3}[i]
		cfg.Subnets = append(cfg.Subnets, lab.Subnet{ID: name, CIDR: p(fmt.Sprintf("10.0.%d.0/24", n)), IPv6: p(fmt.Sprintf("2001:db8:ec2:%d::/64", n))})
	}
	for i := range 4 {
		n := 2 * (i % 2)
		a := addr(fmt.Sprintf("10.0.%d.%d", n, 30+i))
		k := lab.Interface{Name: fmt.Sprintf("eth%d", i), Addrs4: []netip.Addr{a}, EIPs: map[netip.Addr]netip.Addr{a: addr(fmt.Sprintf("203.0.113.%d", 100+i))}}
		for _, host := range []int{30 + i, 20 + i, 10 + i} {
			k.Addrs6 = append(k.Addrs6, addr(fmt.Sprintf("2001:db8:ec2:%d::%d", n, host)))
		}
		cfg.Interfaces = append(cfg.Interfaces, k)
	}
	return cfg
}

// A primary and three secondary VNICs, kept by a process each, with each rp_filter: what comes from an address leaves by
// its VNIC wherever it goes, and every address answers from outside. Half of the links have no router advertisements:
// the metadata name the router.
func TestOCIMatrix(t *testing.T) {
	t.Parallel()
	for _, rpFilter := range []int{0, 1, 2} {
		t.Run(fmt.Sprint(rpFilter), func(t *testing.T) {
			t.Parallel()
			c := cloud(t, ociMatrix(rpFilter))
			for kind, name := range map[string]string{"subnet a": "a", "subnet c": "c", "another subnet": "d"} {
				_, err := c.AddPeer("peer-"+name, addr(kinds[kind][0]), addr(kinds[kind][1]))
				must(t, err)
			}
			neighbours(t, c)
			captures := map[string]*lab.Capture{}
			var keepers []*kept
			for i, k := range c.Interfaces() {
				if i%2 == 0 {
					advertise(t, c, k.Name, lab.Advert{})
				}
				keepers = append(keepers, start(t, c, k.Name))
				capture, err := c.Capture(k.Name)
				must(t, err)
				captures[k.Name] = capture
			}
			for _, k := range keepers {
				k.notify.await(t, "READY=1")
			}
			ready := time.Now()
			eventually(t, hang, "the primary's own table", func() bool {
				return strings.Count(ip(t, c, "rule")+ip(t, c, "-6 rule"), "lookup 10000") == 4
			})
			leave(t, c, shots(c, kinds), captures, listenLocal(t, c, "docker0", "vpn0"))
			for _, k := range c.Interfaces() {
				for _, public := range k.EIPs {
					answers(t, c, public)
				}
				for _, a := range k.Addrs6 {
					answers(t, c, a)
				}
			}
			if astray, err := c.Astray(); err != nil || len(astray) > 0 {
				t.Errorf("dropped on the way to the cloud's servers: %v %v", astray, err)
			}
			nobodyAsks(t, c, ready)
		})
	}
}

// With [egress] by a secondary VNIC the host leaves by that one, and reaches the metadata and its disks by the primary all
// the same, also where no lease has made link-local addresses the primary's.
func TestOCIEgress(t *testing.T) {
	t.Parallel()
	c := ociCloud(t, lab.Config{RPFilter: 1})
	configure(t, c, "refresh = \"1s\"\n[egress]\ninterface = \"eth1\"\n")
	for _, iface := range []string{"eth0", "eth1"} {
		keep(t, c, iface)
	}
	eventually(t, hang, "the host leaves by eth1", func() bool { return strings.Contains(ip(t, c, "route get 198.51.100.146"), "dev eth1") })
	for _, a := range []string{"169.254.169.254", "169.254.0.2", "169.254.2.2"} {
		says(t, ip(t, c, "route get "+a), "dev eth0")
	}
	ip(t, c, "route del 169.254.0.0/16 dev eth0")
	for _, a := range []string{"169.254.169.254", "169.254.0.2"} {
		says(t, ip(t, c, "route get "+a), "dev eth0")
	}
	reaches(t, c.Instance(), lab.OCIBootVolume, lab.Ping{})
}
