package lab

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// seed001 is the seed's topology: the three interfaces as a distribution leaves them, which is up with their addresses
// and only the first one with a default route, and the machine behind the third with its route.
func seed001(t testing.TB) (c *Cloud, vm *Node) {
	t.Helper()
	c = newCloud(t, Seed001())
	vm, err := c.AddPeer("testvm", testVM)
	must(t, err)
	must(t, c.AddRoute(Route{"subnet3", world4, addr132}))
	setUp(t, c, "eth2", netip.PrefixFrom(addr4, 26))
	setUp(t, c, "eth3", netip.PrefixFrom(addr132, 26))
	return c, vm
}

// connects says whether a new connection to the primary's public address comes about.
func connects(t testing.TB, c *Cloud, port uint16, patience time.Duration) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := c.Client().Dial(ctx, "tcp", netip.AddrPortFrom(EIP1, port).String())
	if err != nil {
		return false
	}
	must(t, conn.Close())
	return true
}

// The seed, with nothing but the commands that its author typed: the default route moved to eth2 and address
// translation there give the neighbour the internet and take SSH away; a rule and a table give SSH back.
func TestSeed001(t *testing.T) {
	c, vm := seed001(t)
	n := c.Instance()
	sshd, err := n.Echo(netip.AddrPortFrom(addr68, 0))
	must(t, err)
	ssh, err := c.Client().Stream(within(t), netip.AddrPortFrom(EIP1, sshd.Addr.Port()))
	must(t, err)
	must(t, ssh.Alive(within(t)))
	dead(t, vm, ClientIP)

	run(t, n, "ip route del default")
	run(t, n, "ip route add default via 172.22.5.1 dev eth2")
	must(t, n.Sysctl("net/ipv4/ip_forward", "1"))
	for _, line := range []string{
		"nft add table ip seed", "nft add chain ip seed post { type nat hook postrouting priority srcnat ; }",
		"nft add rule ip seed post ip saddr 172.22.5.128/26 oifname eth2 masquerade",
	} {
		run(t, n, line)
	}
	wire, err := c.Capture("eth2")
	must(t, err)
	alive(t, vm, ClientIP)
	if _, err := wire.Wait(within(t), FromInterface, From(addr4), To(ClientIP), Proto(unix.IPPROTO_ICMP)); err != nil {
		t.Errorf("the neighbour's packet was not seen on eth2, translated: %v", err)
	}
	if got := wire.Packets(FromInterface, From(testVM), To(ClientIP)); len(got) != 0 {
		t.Errorf("it left untranslated: %v", got)
	}
	if connects(t, c, sshd.Addr.Port(), 300*time.Millisecond) {
		t.Error("SSH to the primary's public address still comes about")
	}
	stuck, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if ssh.Alive(stuck) == nil {
		t.Error("the open connection still works")
	}
	lost, err := c.NoPublicAddress()
	must(t, err)
	if !slices.ContainsFunc(lost, func(d Drop) bool { return d.Interface == "eth2" && d.Source == addr68 }) {
		t.Errorf("the answers were not dropped at eth2: %v", lost)
	}

	run(t, n, "ip route add default via 172.22.5.65 dev eth1 table 101")
	run(t, n, "ip rule add from 172.22.5.68 lookup 101")
	if !connects(t, c, sshd.Addr.Port(), hang) {
		t.Error("SSH does not come about with the rule and the table")
	}
	alive(t, vm, ClientIP)
	must(t, ssh.Alive(within(t)))
	if err := ssh.Close(); err != nil {
		t.Errorf("the open connection: %v", err)
	}
}
