package plumb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ec2net/dhcp"
)

// move is a kind of stroke.
type move struct {
	name string
	do   func(v *venue, a, b int) error
}

const usersGroup = 7

func moves() []move {
	return []move{
		{"attach", (*venue).attach}, {"detach", (*venue).detach}, {"rename", (*venue).rename},
		{"assign or release an address", (*venue).assign}, {"assign or release a block", (*venue).delegate},
		{"another primary address", (*venue).promote}, {"another lease", (*venue).lease}, {"another configuration", (*venue).configure},
		{"keys that cannot be asked", (*venue).blindfold}, {"others", (*venue).strange}, {"damage", (*venue).damage},
		{"kill", (*venue).kill}, {"refuse", (*venue).refuse}, {"restart", (*venue).restart},
	}
}

func (v *venue) any(a int) *actor { return v.actors[a%len(v.actors)] }

// second is any interface but the primary, or nil.
func (v *venue) second(a int) *actor {
	if len(v.actors) == 1 {
		return nil
	}
	return v.actors[1+a%(len(v.actors)-1)]
}

func (v *venue) attach(a, b int) error {
	if len(v.actors) > 3 {
		return nil
	}
	c := newInterface(v.next, b)
	v.next++
	up := ""
	if a%2 == 0 {
		up = " up"
	}
	err := ipBatch(fmt.Sprintf("link add %s address %s type veth peer name gw%d", c.name, c.mac(), c.n),
		fmt.Sprintf("link set gw%d up", c.n), "link set "+c.name+up)
	if err != nil {
		return err
	}
	_, err = v.appoint(c)
	v.blind &^= everything * (b % 2) // or it comes while the metadata is silent
	if v.blind != everything {
		v.blind = 0 // an interface is published as a whole
	}
	return err
}

// detach takes an interface away from a process that lives on, that was killed, or of which nobody knows.
func (v *venue) detach(a, b int) error {
	x := v.second(a)
	if x == nil {
		return nil
	}
	if err := ipBatch("link del " + x.name); err != nil {
		return err
	}
	v.actors = slices.DeleteFunc(v.actors, func(y *actor) bool { return x == y })
	defer func() { x.link.Close() }()
	if b%3 == 2 {
		var claimed []int
		for _, y := range v.actors {
			claimed = append(claimed, y.numbers...)
		}
		_, err := Orphans(claimed)
		return err // and the group of the primary stays until the next leaves
	}
	if b%3 == 1 {
		if err := x.start(); err != nil {
			return err
		}
	}
	_, err := x.link.Leave(context.Background(), x.before)
	return err
}

func (v *venue) rename(a, b int) error {
	x := v.second(a)
	if x == nil {
		return nil
	}
	old := x.name
	x.name = fmt.Sprintf("ens%d%c", x.granted.n, 'a'+b%20)
	x.granted.name = x.name
	return ipBatch("link set "+old+" down", "link set "+old+" name "+x.name)
}

// toggle puts a value into a list or takes it out.
func toggle[T comparable](list []T, v T) []T {
	if i := slices.Index(list, v); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return append(list, v)
}

func (v *venue) assign(a, b int) error {
	x := v.any(a).granted
	x.change(b)
	return nil
}

// change takes some addresses away and brings others. One of IPv4 always stays.
func (c *cloudInterface) change(b int) {
	for ; b > 0; b /= 16 {
		f := b % 2
		i := b / 2 % 8
		if (f == 0 && len(c.addrs[0]) == 1 && c.addrs[0][0] == c.addr(0, i)) || (c.n == 0 && c.addrs[f] != nil && c.addr(f, i) == c.addrs[f][0]) {
			continue
		}
		c.addrs[f] = toggle(c.addrs[f], c.addr(f, i))
	}
}

func (v *venue) delegate(a, b int) error {
	x := v.any(a).granted
	x.blocks[b%2] = toggle(x.blocks[b%2], x.block(b%2, b/2))
	return nil
}

func (v *venue) promote(a, b int) error {
	x := v.second(a)
	if x == nil {
		return nil
	}
	for f := range 2 {
		if list := x.granted.addrs[f]; len(list) > 1 {
			i := b % len(list)
			list[0], list[i] = list[i], list[0]
		}
	}
	return nil
}

func (v *venue) lease(a, b int) error {
	if x := v.second(a); x != nil {
		x.granted.mtu = []int{0, 1400, 3000}[b%3]
		x.granted.router = x.granted.subnets[0].Addr().Next()
		if b/3%2 == 0 {
			x.granted.router = x.granted.router.Next()
		}
		x.granted.static = slices.DeleteFunc(x.granted.statics(), func(dhcp.Route) bool { b = b / 2; return b%2 == 0 })
	}
	return nil
}

func (v *venue) configure(a, b int) error {
	x := v.second(a)
	if x == nil || v.blind != 0 { // what a new process can not ask stays as it is, whatever the configuration
		return nil
	}
	x.granted.main, x.granted.delegation = b%2 == 0, Delegation(b/2%3)
	return x.start()
}

func (v *venue) blindfold(a, b int) error {
	v.blind = []int{0, everything, b % everything}[a%3]
	return nil
}

// strange is what other programs do: with objects that look like ours, that stand in our way, or that
// concern the same interface.
func (v *venue) strange(a, b int) error {
	x := v.any(a)
	c, t := x.granted, 10000+x.granted.n
	subnet := c.subnets[0].String()
	commands := []string{
		fmt.Sprintf("rule add from %s lookup %d pref %d protocol 99", c.addr(0, b), t, t+10000),
		fmt.Sprintf("rule add from %s lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref %d protocol 99", subnet, t),
		fmt.Sprintf("rule add from %s lookup 500 pref 500", c.addr(0, b)),
		fmt.Sprintf("route add 172.16.%d.0/24 dev %s", b%8, x.name),
		fmt.Sprintf("route add 172.17.%d.0/24 via %s dev %s onlink metric %d", b%8, c.addr(0, 9), x.name, b%2),
		fmt.Sprintf("route add default via %s dev %s onlink table %d", c.addr(0, 9), x.name, 20000+b%3),
		fmt.Sprintf("-6 route add 2001:db8:%d::/48 dev %s", 100+b%8, x.name),
		fmt.Sprintf("addr add 192.168.%d.1/24 dev %s", b%8, x.name),
	}
	if c.n > 0 {
		commands = append(commands,
			fmt.Sprintf("addr add %s/24 dev %s", c.addr(0, b), x.name),
			fmt.Sprintf("addr add %s/64 dev %s nodad", c.addr(1, b), x.name),
			fmt.Sprintf("route add default via %s dev %s onlink table %d", c.addr(0, 9), x.name, t),
			fmt.Sprintf("route replace %s dev %s table %d", subnet, x.name, t),
			fmt.Sprintf("route replace default via %s dev %s onlink metric %d", c.addr(0, 9), x.name, t),
			fmt.Sprintf("link set %s group %d", x.name, usersGroup),
			fmt.Sprintf("link set %s group 0", x.name),
		)
	}
	return v.run(commands[b/8%len(commands)])
}

// run runs a command, and later what undoes it.
func (v *venue) run(command string) error {
	v.story = append(v.story, "  ip "+command)
	for _, verb := range []string{" add ", " replace "} {
		var before, after string
		if n, _ := fmt.Sscanf(command, "%s", &before); n == 1 {
			if i := strings.Index(command, verb); i >= 0 {
				before, after = command[:i], command[i+len(verb):]
				if before != "-6 route" {
					v.undo = append(v.undo, before+" del "+after)
				} else {
					v.undo = append(v.undo, "route del "+after)
				}
			}
		}
	}
	if len(command) > 3 && command[:3] == "-6 " {
		command = command[3:]
	}
	return ipBatch(command)
}

// damage takes something of ours away, as a network manager does.
func (v *venue) damage(a, b int) error {
	x := v.any(a)
	t := 10000 + x.granted.n
	dev := x.name
	commands := [][]string{
		{fmt.Sprintf("rule del pref %d protocol 236", t)}, {fmt.Sprintf("rule del pref %d protocol 236", t+10000)},
		{fmt.Sprintf("route flush table %d", t)}, {"route flush proto 236"}, {"link set " + dev + " down"},
		{"link set " + dev + " down", "link set " + dev + " up"}, {"link property del dev " + dev + " altname device-number-" + fmt.Sprint(x.granted.n)},
		{"link set " + dev + " group 0"}, {"link set eth0 group 0"},
		{fmt.Sprintf("addr del %s/24 dev %s", x.granted.addrs[0][0], dev)}, {fmt.Sprintf("addr del %s/32 dev %s", x.granted.addr(0, b/16), dev)},
		{fmt.Sprintf("addr del %s/128 dev %s", x.granted.addr(1, b/16), dev)},
		{fmt.Sprintf("route replace default via %s dev %s onlink table %d proto 236", x.granted.addr(0, 9), dev, t)},
		{fmt.Sprintf("rule add from 10.77.0.0/16 lookup %d pref %d protocol 236", t, t+10000)},
		{fmt.Sprintf("route add 10.78.0.0/16 dev %s table %d proto 236", dev, t)},
	}
	c := commands[b%len(commands)]
	if x.granted.n == 0 || x.believed == nil { // of an interface that was never read, nobody knows its number
		c = commands[b%2]
	}
	v.story = append(v.story, fmt.Sprintf("  %q", c))
	return ipBatch(c...)
}

// kill ends a process at one of its requests in the middle of a change, and starts the next.
func (v *venue) kill(a, b int) error {
	x := v.any(a)
	x.granted.change(a)
	for range 2 {
		x.read(v.blind)
	}
	spoil(x.link.rt, 1+b/2%40, fault{kills: true, lost: b%2 == 0})
	if _, err := x.reconcile(); errors.Is(err, errKilled) {
		v.killed++
	}
	return x.start()
}

// refuse has the kernel refuse a request.
func (v *venue) refuse(a, b int) error {
	x := v.any(a)
	x.granted.change(a)
	for range 2 {
		x.read(v.blind)
	}
	errno := []unix.Errno{unix.EBUSY, unix.ENOBUFS, unix.EEXIST, unix.ENOENT, unix.EPERM, unix.EINTR}[b%6]
	spoil(x.link.rt, 1+b/6%40, fault{errno: errno, lost: b%2 == 0 && errno == unix.ENOBUFS})
	if _, err := x.reconcile(); err != nil {
		v.refused++
	}
	return x.start()
}

func (v *venue) restart(a, _ int) error { return v.any(a).start() }
