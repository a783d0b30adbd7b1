package lab

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

// linkOf is a device of the machine, or nil.
func linkOf(t testing.TB, c *Cloud, name string) netlink.Link {
	t.Helper()
	l, err := c.Instance().Netlink().LinkByName(name)
	if err != nil {
		return nil
	}
	return l
}

// A VF has its interface's MAC, comes down and without master, can be enslaved and freed, and goes at once.
func TestVF(t *testing.T) {
	c := newAzure(t)
	name, err := c.AttachVF("eth2")
	must(t, err)
	vf, iface := linkOf(t, c, name), linkOf(t, c, "eth2")
	if a, b := vf.Attrs(), iface.Attrs(); a.HardwareAddr.String() != b.HardwareAddr.String() || a.MasterIndex != 0 || a.Index == b.Index || a.Flags&1 != 0 {
		t.Errorf("%s is %+v beside %+v", name, a, b)
	}
	if _, err := c.AttachVF("eth2"); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("a second one: %v", err)
	}
	for range 2 {
		must(t, c.EnslaveVF("eth2"))
	}
	state, err := c.VFOf("eth2")
	must(t, err)
	if got := linkOf(t, c, name).Attrs().MasterIndex; got == 0 || got != linkOf(t, c, state.Master).Attrs().Index {
		t.Errorf("the master of %s is %d", name, got)
	}
	must(t, c.FreeVF("eth2"))
	if linkOf(t, c, name).Attrs().MasterIndex != 0 || linkOf(t, c, state.Master) != nil {
		t.Error("it is still enslaved, or the master still there")
	}
	must(t, c.EnslaveVF("eth2"))
	for range 2 {
		must(t, c.DetachVF("eth2"))
	}
	if linkOf(t, c, name) != nil || linkOf(t, c, state.Master) != nil {
		t.Error("the VF or its master is still there")
	}
	if err := c.EnslaveVF("eth2"); err == nil {
		t.Error("a VF was enslaved that is not there")
	}
}

// It goes with its interface.
func TestVFGoesWithInterface(t *testing.T) {
	c := newAzure(t)
	name, err := c.AttachVF("eth2")
	must(t, err)
	must(t, c.EnslaveVF("eth2"))
	must(t, c.Detach("eth2"))
	if linkOf(t, c, name) != nil || linkOf(t, c, "netvsc5000") != nil {
		t.Error("the VF outlives its interface")
	}
}

// However the VF comes, goes, is enslaved and set up, the interface's traffic does not notice: nobody answers on
// the VF, and it brings no second answer to anything.
func TestVFDisturbsNothing(t *testing.T) {
	c := newAzure(t)
	sshd, err := c.Instance().Echo(netip.AddrPortFrom(addr68, 0))
	must(t, err)
	ssh, err := c.Client().Stream(within(t), netip.AddrPortFrom(EIP1, sshd.Addr.Port()))
	must(t, err)
	setUp := func(key string) error {
		v, err := c.VFOf(key)
		must(t, err)
		return c.Instance().Netlink().LinkSetUp(linkOf(t, c, v.Name))
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, seed))
	for i := range 60 {
		v, err := c.VFOf("eth1")
		must(t, err)
		if !v.Attached {
			_, err = c.AttachVF("eth1")
		} else {
			err = []func(string) error{c.EnslaveVF, c.FreeVF, setUp, c.DetachVF}[r.IntN(4)]("eth1")
		}
		if err != nil {
			t.Fatalf("seed %d, step %d: %v", seed, i, err)
		}
	}
	must(t, ssh.Alive(within(t)))
	must(t, ssh.Close())
}
