package plumb

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"ec2net/dhcp"
	"ec2net/metadata"
)

// actor is the process that keeps an interface, with what it would have on disk.
type actor struct {
	name     string // of the interface
	granted  *cloudInterface
	believed *cloudInterface // what the last readings together grant; nil: it was never read
	before   *Baseline
	numbers  []int
	record   metadata.Interface
	link     *Link
	last     metadata.Interface
	settled  metadata.Interface
}

func primaryInterface() *cloudInterface {
	c := &cloudInterface{name: "eth0", main: true}
	c.subnets = [2]netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("2001:db8:0:1::/64")}
	c.addrs[0] = []netip.Addr{netip.MustParseAddr("10.0.0.29")}
	return c
}

// newInterface is interface n as the cloud plugs it in. Every second one is in the subnet of the first.
func newInterface(n, b int) *cloudInterface {
	s := 2 + n%2
	c := &cloudInterface{name: fmt.Sprintf("eth%d", n), n: n, main: b%4 != 0, delegation: Delegation(b / 4 % 3)}
	c.subnets = [2]netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.0.%d.0/24", s)), netip.MustParsePrefix(fmt.Sprintf("2001:db8:0:%d::/64", s))}
	c.addrs[0] = []netip.Addr{c.addr(0, b/12)}
	if b/12%2 == 0 {
		c.addrs[1] = []netip.Addr{c.addr(1, b/24)}
	}
	return c
}

// addr is address i of eight that the cloud has for the interface.
func (c *cloudInterface) addr(family, i int) netip.Addr {
	b := c.subnets[family].Addr().AsSlice()
	b[len(b)-1] = byte(10 + 10*(c.n%10) + i%8)
	a, _ := netip.AddrFromSlice(b)
	return a
}

// block is block i of two.
func (c *cloudInterface) block(family, i int) netip.Prefix {
	b := c.subnets[family].Addr().AsSlice()
	if family == 1 {
		b[8], b[9] = byte(1+c.n), byte(i%2)
		a, _ := netip.AddrFromSlice(b)
		return netip.PrefixFrom(a, 80)
	}
	b[3] = byte(128 + 16*(c.n%4) + 8*(i%2))
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, 29)
}

func (c *cloudInterface) mac() metadata.MAC { return metadata.MAC{2, 0, 0, 0, 0, byte(0x10 + c.n)} }

func (c *cloudInterface) clone() *cloudInterface {
	d := *c
	for f := range 2 {
		d.addrs[f], d.blocks[f] = slices.Clone(c.addrs[f]), slices.Clone(c.blocks[f])
	}
	return &d
}

// reading is what the metadata says, but for the keys in blind.
func (c *cloudInterface) reading(blind int) metadata.Interface {
	i := metadata.Interface{MAC: c.mac(), DeviceNumber: c.n, Primary: c.n == 0, Subnets4: metadata.Is(c.subnets[:1]), Subnets6: metadata.Is(c.subnets[1:])}
	if c.n > 0 {
		i.ID = fmt.Sprintf("eni-%d", c.n)
	}
	i.Addrs4, i.Addrs6 = answer(c.addrs[0], blind, 0), answer(c.addrs[1], blind, 1)
	i.Prefixes4, i.Prefixes6 = answer(c.blocks[0], blind, 2), answer(c.blocks[1], blind, 3)
	return i
}

func answer[T any](list []T, blind, key int) metadata.Answer[[]T] {
	switch {
	case blind&(1<<key) != 0:
		return metadata.Answer[[]T]{}
	case len(list) == 0:
		return metadata.None[[]T]()
	}
	return metadata.Is(slices.Clone(list))
}

// appoint starts the first process of an interface that is there.
func (v *venue) appoint(c *cloudInterface) (*actor, error) {
	a := &actor{name: c.name, granted: c}
	if err := a.start(); err != nil {
		return nil, err
	}
	s, err := a.link.Read()
	a.before = &Baseline{Link: s.Link, AltNames: s.AltNames}
	v.actors = append(v.actors, a)
	return a, err
}

// start is a new process: it knows what is on disk, and what the kernel still holds.
func (a *actor) start() (err error) {
	if a.link != nil {
		a.link.Close()
	}
	if a.link, err = Open(a.name); err != nil {
		return err
	}
	a.link.scope.Numbers = slices.Clone(a.numbers)
	if a.granted.n > 0 {
		a.link.scope.Peers = []metadata.MAC{primaryInterface().mac()}
	}
	s, err := a.link.Read()
	if errors.Is(err, ErrGone) {
		return nil
	}
	a.last = s.Granted()
	if a.record.MAC == s.MAC {
		a.last = metadata.Settle(s.Held(), a.record)
	}
	a.settled = a.last
	return err
}

// read takes one reading of the metadata in.
func (a *actor) read(blind int) {
	if blind == everything {
		return
	}
	if a.believed == nil {
		blind = 0 // an interface is published as a whole
	}
	r := a.granted.reading(blind)
	a.settled, a.last = metadata.Settle(a.last, r), metadata.Carry(a.last, r)
	if a.believed == nil {
		a.believed = a.granted.clone()
		return
	}
	b := a.granted.clone()
	for f := range 2 {
		if blind&(1<<f) != 0 {
			b.addrs[f] = a.believed.addrs[f]
		}
		if blind&(4<<f) != 0 {
			b.blocks[f] = a.believed.blocks[f]
		}
	}
	a.believed = b
}

// due is what the interface is due: of the metadata what is believed, and everything else as it is.
func (a *actor) due() *cloudInterface {
	c := *a.granted
	c.addrs, c.blocks = a.believed.addrs, a.believed.blocks
	return &c
}

func (a *actor) reconcile() (Plan, error) {
	return a.link.Reconcile(context.Background(), a.want).both()
}

func (a *actor) want(s Snapshot) (State, error) {
	if a.settled.MAC == (metadata.MAC{}) {
		return Keep(s), nil
	}
	in := Input{Interface: a.settled, Have: s, OwnAddress: true, MainTable: a.granted.main, Prefixes: a.granted.delegation,
		Gateway6: netip.MustParseAddr("fe80:ec2::1")}
	if a.granted.router.IsValid() || a.granted.mtu != 0 {
		in.Lease = &dhcp.Lease{Addr: netip.PrefixFrom(a.settled.Addrs4.Value[0], 24), Router: a.granted.router, MTU: a.granted.mtu, Routes: a.granted.static}
	}
	state, err := Want(in)
	a.record = a.settled
	for _, n := range state.Numbers() { // on disk before it is in the kernel
		if !slices.Contains(a.numbers, n) {
			a.numbers = append(a.numbers, n)
		}
	}
	return state, err
}
