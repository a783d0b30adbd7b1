package lab

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// VF is the virtual function of an interface with accelerated networking: a second device of the host with the
// interface's MAC, which the host's software must leave alone. It comes and goes when Azure moves the machine.
//
// Azure's synthetic interface (hv_netvsc) makes itself the VF's master. A veth cannot, so that the master here is a
// bridge of its own: what is true to life is the MAC, the flag and the relation on the VF's side. It has a carrier,
// and nobody answers on it.
type VF struct {
	Name     string
	Master   string // empty while it is not enslaved
	Attached bool
}

// virtual is what the lab holds of an interface's VF.
type virtual struct {
	VF
	port int // ifindex of the fabric's end
}

const firstVF = 5000 // ifindex of the fabric's ends

// AttachVF gives an interface a VF: down, bare and without master, as the driver makes it. It returns its name.
func (c *Cloud) AttachVF(key string) (name string, err error) {
	err = c.change(key, "attach a VF to "+key, func(k *iface) error {
		if k.vf.Attached {
			return fmt.Errorf("it has %s", k.vf.Name)
		}
		v := virtual{VF{fmt.Sprintf("enP%ds1", c.vfs+1), "", true}, firstVF + c.vfs}
		c.vfs++
		if err := c.net.plugVF(k, v); err != nil {
			return err
		}
		k.vf, name = v, v.Name
		return nil
	})
	return name, err
}

// plugVF makes the device, with an end in the fabric that says nothing.
func (f *fabric) plugVF(k *iface, v virtual) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Index = fmt.Sprintf("v%d", v.port), v.port
	cable := netlink.NewVeth(attrs)
	cable.PeerName, cable.PeerNamespace = v.Name, netlink.NsFd(k.node.NetNS())
	cable.PeerHardwareAddr = k.MAC[:]
	if err := f.node.nl.LinkAdd(cable); err != nil {
		return fmt.Errorf("make %s: %w", v.Name, err)
	}
	err := f.node.sysctls([][2]string{
		{"net/ipv4/conf/" + attrs.Name + "/proxy_arp", "0"},
		{"net/ipv4/conf/" + attrs.Name + "/arp_ignore", "8"},
		{"net/ipv6/conf/" + attrs.Name + "/disable_ipv6", "1"},
	})
	return errors.Join(err, f.node.nl.LinkSetUp(linkIndex(v.port)))
}

// EnslaveVF puts an interface's VF under its master, as hv_netvsc does a moment after it has come.
func (c *Cloud) EnslaveVF(key string) error {
	return c.change(key, "enslave the VF of "+key, func(k *iface) error {
		switch {
		case !k.vf.Attached:
			return errors.New("it has none")
		case k.vf.Master != "":
			return nil
		}
		name := "netvsc" + fmt.Sprint(k.vf.port)
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.HardwareAddr = name, net.HardwareAddr{0x02, 0xfa, 0xb3, 0, byte(k.vf.port >> 8), byte(k.vf.port)}
		h := k.node.nl
		if err := h.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			return fmt.Errorf("make the master: %w", err)
		}
		k.vf.Master = name
		master, err := h.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find the master: %w", err)
		}
		slave, err := h.LinkByName(k.vf.Name)
		if err != nil {
			return fmt.Errorf("find the VF: %w", err)
		}
		return h.LinkSetMasterByIndex(slave, master.Attrs().Index)
	})
}

// FreeVF takes an interface's VF from its master.
func (c *Cloud) FreeVF(key string) error {
	return c.change(key, "free the VF of "+key, func(k *iface) error { return k.freeVF() })
}

func (k *iface) freeVF() error {
	if k.vf.Master == "" {
		return nil
	}
	master, err := k.node.nl.LinkByName(k.vf.Master)
	if err == nil {
		err = k.node.nl.LinkDel(master) // lets go of what it holds
	}
	k.vf.Master = ""
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	return err
}

// DetachVF takes an interface's VF away, at once and whatever its state: what has no VF is left as it is.
func (c *Cloud) DetachVF(key string) error {
	return c.change(key, "detach the VF of "+key, func(k *iface) error { return c.net.unplugVF(k) })
}

func (f *fabric) unplugVF(k *iface) error {
	if !k.vf.Attached {
		return nil
	}
	port := k.vf.port
	err := f.node.nl.LinkDel(linkIndex(port))
	if errors.Is(err, unix.ENODEV) {
		err = nil
	}
	err = errors.Join(err, k.freeVF())
	k.vf = virtual{}
	return err
}

// VFOf tells the state of an interface's VF.
func (c *Cloud) VFOf(key string) (VF, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	k, err := c.find(key)
	if err != nil {
		return VF{}, err
	}
	return k.vf.VF, nil
}
