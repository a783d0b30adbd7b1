package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// nftables is all that the instance has.
func nftables(t *testing.T, c *lab.Cloud) string {
	t.Helper()
	out, status := on(t, c, "nft", "list", "ruleset")
	if status != 0 {
		t.Fatal(out)
	}
	return out
}

// Seed 001 on EC2: a host behind eth3 reaches the internet by eth2, under eth2's address; what it asks and
// what is answered is seen on eth2's wire alone. A connection goes on through a restart and a kill. down
// leaves nothing, and gives forwarding back.
func TestNAT(t *testing.T) {
	t.Parallel()
	const egress3 = "[egress]\ninterface = \"eth3\"\n"
	for _, tt := range []struct{ name, toml string }{{"on the link", ""}, {"without main", "main_table = false\n"}, {"with egress", egress3}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			nat := func(more string) string {
				return write(t, tt.toml+"[nat]\nfrom = [\"10.0.3.0/24\""+more+"out = \"eth2\"\n")
			}
			l := egressLab{egressCloud(t), nat("]\n")}
			test, err := l.AddPeer("test", addr("10.0.3.200"))
			must(t, err)
			for _, iface := range []string{"eth2", "eth3"} {
				must(t, l.Forward(iface, true)) // the source/destination check is off
			}
			must(t, l.AddRoute(lab.Route{Subnet: "subnet-c", Prefix: netip.MustParsePrefix("0.0.0.0/0"), NextHop: addr("10.0.3.37")}))
			before, rules := world(t, l.Cloud), nftables(t, l.Cloud)
			keepers := []*kept{l.keep(t, "eth0"), l.keep(t, "eth2"), l.keep(t, "eth3")}
			eventually(t, hang, "forwarding", func() bool { return forwarding(t, l.Cloud, "eth0", "eth2", "eth3") == "0 1 1" })
			l.settled(t, "eth0", "eth2", "eth3")
			capture, err := l.Capture("eth2")
			must(t, err)
			server, err := l.Client().Echo(netip.AddrPortFrom(lab.ClientIP, 0))
			must(t, err)
			stream, err := test.Stream(t.Context(), server.Addr)
			must(t, err)
			must(t, stream.Alive(t.Context()))
			tcp := []func(lab.Packet) bool{lab.Proto(unix.IPPROTO_TCP), lab.To(lab.ClientIP)}
			if n := len(capture.Packets(append(tcp, lab.FromInterface, lab.From(addr("10.0.2.37")))...)); n == 0 {
				t.Error("nothing left by eth2 under its address")
			}
			if list := capture.Packets(append(tcp, lab.FromInterface, lab.From(addr("10.0.3.200")))...); len(list) > 0 {
				t.Errorf("%d packets left by eth2 untranslated", len(list))
			}
			says(t, l.ec2net(t, exitOK, "status"), "10.0.3.0/24 from eth3 leaves by this interface", "10.0.3.0/24 arrives by this interface", "drift       none")

			if tt.toml == egress3 {
				leads(t, l.Cloud, hang, "10002")
				l.settled(t, "eth0", "eth2", "eth3")
			}
			for _, k := range keepers[1:] {
				k.notify.await(t, "lease until")
			}
			says(t, l.ec2net(t, exitOK, "doctor"), "all well")
			held := world(t, l.Cloud)
			for i, k := range keepers {
				must(t, k.Process.Kill())
				<-k.ended
				keepers[i] = l.keep(t, []string{"eth0", "eth2", "eth3"}[i])
			}
			unchanged(t, l.Cloud, held, "killed and started again")
			more := nat(", \"10.9.0.0/24\"]\nin = \"eth3\"\n")
			for _, iface := range []string{"eth2", "eth3"} { // another table in the place of the first
				keepers[map[string]int{"eth2": 1, "eth3": 2}[iface]].stop(t)
				ec2net(t, l.Cloud, exitOK, "--config", more, "up", iface)
			}
			holds(t, ip(t, l.Cloud, "route"), "10.9.0.0/24 via 10.0.3.1 dev eth3")
			holds(t, ip(t, l.Cloud, "rule"), "from 10.9.0.0/24 iif eth3 lookup 10001")
			if err := stream.Alive(t.Context()); err != nil {
				t.Errorf("the connection from inside: %v", err)
			}
			if err := stream.Close(); err != nil {
				t.Errorf("the connection from inside: %v", err)
			}
			keepers[1], keepers[2] = l.keep(t, "eth2"), l.keep(t, "eth3")
			eventually(t, hang, "as before", func() bool { return cmp.Equal(held, world(t, l.Cloud)) })
			for _, damage := range []string{"nft delete table inet ec2net-10001", "nft flush ruleset", "sysctl -w net.ipv4.conf.eth2.forwarding=0", "sysctl -w net.ipv4.ip_forward=0", "ip rule del pref 30010", "ip rule del pref 30020"} {
				shell(t, l.Instance(), damage)
				eventually(t, hang, damage+" repaired", func() bool {
					return forwarding(t, l.Cloud, "eth2", "eth3") == "1 1" && strings.Contains(nftables(t, l.Cloud), "masquerade") && cmp.Equal(held, world(t, l.Cloud))
				})
			}
			l.ec2net(t, exitOK, "down", "eth2")
			eventually(t, hang, "nothing is passed on that nobody translates", func() bool { return forwarding(t, l.Cloud, "eth2", "eth3") == "0 0" })
			keepers[1] = l.keep(t, "eth2")
			eventually(t, hang, "as before", func() bool {
				return forwarding(t, l.Cloud, "eth2", "eth3") == "1 1" && cmp.Equal(held, world(t, l.Cloud))
			})
			for _, k := range keepers {
				k.stop(t)
			}
			shell(t, l.Instance(), "sysctl -w net.ipv4.ip_forward=1")
			l.ec2net(t, exitOK, "down", "eth2")
			if out := l.ec2net(t, exitOK, "status", "eth3"); strings.Contains(out, "forwarding") {
				t.Errorf("all interfaces forward, and that is drift:\n%s", out)
			}
			shell(t, l.Instance(), "sysctl -w net.ipv4.ip_forward=0")
			for _, iface := range []string{"eth3", "eth2", "eth0"} {
				l.ec2net(t, exitOK, "down", iface)
			}
			unchanged(t, l.Cloud, before, "down")
			if got := forwarding(t, l.Cloud, "eth0", "eth2", "eth3"); got != "0 0 0" {
				t.Errorf("forwarding after down: %s", got)
			}
			if now := nftables(t, l.Cloud); now != rules {
				t.Errorf("nftables after down:\n%s", now)
			}
		})
	}
}

// What of [nat] can not be meant is refused with its place and the reason, by up, plan and status; nothing of it
// is applied on any interface, and the interfaces are set up all the same.
func TestNATRefused(t *testing.T) {
	t.Parallel()
	c := egressCloud(t)
	for _, iface := range []string{"eth0", "eth2", "eth3"} {
		ec2net(t, c, exitOK, "up", iface)
	}
	eventually(t, hang, "signal and the interfaces' own IPv6 addresses", func() bool { // in the kernel's own time
		local := ip(t, c, "-6 route show table local")
		return !strings.Contains(ip(t, c, "-6 route show table all")+ip(t, c, "route show table all"), "linkdown") && strings.Count(local, "local fe80:") == 3
	})
	before, rules := world(t, c), nftables(t, c)
	for _, tt := range []struct{ nat, says string }{
		{"from = \"10.0.3.0/24\"\nout = \"eth9\"\n", ":3:7: [nat] there is no network interface eth9 here"},
		{"from = \"10.0.3.0/24\"\nout = \"eth0\"\n", ":3:7: [nat] eth0 is the primary interface, whose routes ec2net does not manage; name another interface"},
		{"from = \"10.0.2.0/25\"\nout = \"eth2\"\n", ":2:8: [nat] 10.0.2.0/25 overlaps 10.0.2.0/24, the subnet of eth2 itself"},
		{"from = \"10.9.0.0/24\"\nout = \"eth2\"\n", ":2:8: [nat] no interface that is set up has a subnet that contains 10.9.0.0/24: name the interface that it arrives by with the key in"},
		{"from = \"10.9.0.0/24\"\nout = \"eth2\"\nin = \"eth9\"\n", ":4:6: [nat] there is no network interface eth9 here"},
		{"from = \"10.0.3.0/24\"\nout = \"eth2\"\n[[interface]]\nname = \"eth2\"\nmanage = \"link-up\"\n", ":3:7: [nat] eth2 is not managed, so it cannot forward traffic"},
	} {
		l := egressLab{c, write(t, "[nat]\n"+tt.nat)}
		for _, args := range [][]string{{"up", "eth3"}, {"plan", "eth3"}, {"status"}} {
			says(t, l.ec2net(t, exitOK, args...), l.conf+tt.says)
		}
		unchanged(t, c, before, tt.nat)
		if now := nftables(t, c) + forwarding(t, c, "eth2", "eth3"); now != rules+"0 0" {
			t.Errorf("%s: %s", tt.nat, now)
		}
	}
	for _, iface := range []string{"eth2", "eth3"} {
		answers(t, c, map[string]netip.Addr{"eth2": egressEIP2, "eth3": egressEIP3}[iface])
	}
	broken := write(t, "[nat]\nfrom = [\"10.0.3.7/24\"]\nout = \"eth2\"\n")
	says(t, ec2net(t, c, exitUsage, "--config", broken, "up", "eth3"), broken+`:2:9: from cannot hold "10.0.3.7/24": it has bits behind its length; the subnet is 10.0.3.0/24`)
	unchanged(t, c, before, "a file that can not be read")

	// The section comes and goes: nothing of it stays.
	on := egressLab{c, write(t, "[nat]\nfrom = \"10.0.3.0/24\"\nout = \"eth2\"\n")}
	for _, iface := range []string{"eth2", "eth3"} {
		on.ec2net(t, exitOK, "up", iface)
	}
	if got := forwarding(t, c, "eth0", "eth2", "eth3"); got != "0 1 1" {
		t.Errorf("forwarding: %s", got)
	}
	for _, iface := range []string{"eth2", "eth3"} {
		ec2net(t, c, exitOK, "up", iface)
	}
	unchanged(t, c, before, "the section is gone")
	if now := nftables(t, c) + forwarding(t, c, "eth2", "eth3"); now != rules+"0 0" {
		t.Errorf("the section is gone: %s", now)
	}
}

// Records that are lost end no connection of those for whom the host passes traffic on; an interface that was taken down
// has no part in it any more.
func TestNATWithoutRecords(t *testing.T) {
	t.Parallel()
	l := egressLab{egressCloud(t), write(t, "refresh = \"2s\"\n[nat]\nfrom = [\"10.0.3.0/24\"]\nout = \"eth2\"\n")}
	test, err := l.AddPeer("test", addr("10.0.3.200"))
	must(t, err)
	for _, iface := range []string{"eth2", "eth3"} {
		must(t, l.Forward(iface, true))
	}
	must(t, l.AddRoute(lab.Route{Subnet: "subnet-c", Prefix: netip.MustParsePrefix("0.0.0.0/0"), NextHop: addr("10.0.3.37")}))
	out, in := l.keep(t, "eth2"), l.keep(t, "eth3")
	eventually(t, hang, "forwarding", func() bool { return forwarding(t, l.Cloud, "eth2", "eth3") == "1 1" })
	server, err := l.Client().Echo(netip.AddrPortFrom(lab.ClientIP, 0))
	must(t, err)
	stream, err := test.Stream(t.Context(), server.Addr)
	must(t, err)
	must(t, stream.Alive(t.Context()))
	in.stop(t) // nobody makes its record anew
	held := world(t, l.Cloud)
	quiet := silently(t, l.Cloud)
	shell(t, l.Instance(), "rm -r /run/ec2net")
	for range 3 {
		out.reload(t, l.Cloud, "local-ipv4s")
	}
	quiet("a folder that was deleted")
	unchanged(t, l.Cloud, held, "a folder that was deleted")
	must(t, stream.Close())
	l.ec2net(t, exitOK, "down", "eth3")
	eventually(t, hang, "no rule for an interface that was taken down", func() bool { return !strings.Contains(ip(t, l.Cloud, "rule"), "iif eth3") })
}
