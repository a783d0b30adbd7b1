package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ec2net/test/lab"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The addresses of the story, beyond seed 002's.
var (
	eth1Addr = netip.MustParseAddr("10.0.2.37")
	gateway  = netip.MustParseAddr("10.0.2.1")
	second   = netip.MustParseAddr("10.0.2.40")
	third    = netip.MustParseAddr("203.0.113.40") // its elastic IP
)

func (d *demo) story() []step {
	return []step{
		{"An instance with one interface, and a client on the internet", d.oneInterface},
		{"A second interface, set up as distributions do: an address and a second default route", d.naive},
		{"ec2net up eth1", d.ec2netUp},
		{"A secondary address is assigned to eth1", d.assign},
		{"It is released", d.release},
		{"eth1 is unplugged", d.detach},
	}
}

func (d *demo) oneInterface() (err error) {
	d.say("   eth0  10.0.0.29 in 10.0.0.0/24, elastic IP %s\n", lab.EIP1)
	if err := d.alive(lab.EIP1); err != nil {
		return err
	}
	d.bare, err = d.state()
	return err
}

// naive is the problem: whatever rp_filter is, the second elastic IP is dead.
func (d *demo) naive() error {
	if err := d.cloud.Attach(lab.Eth1()); err != nil {
		return err
	}
	d.say("   eth1  10.0.2.37 in 10.0.2.0/24, elastic IP %s, is plugged in\n", lab.EIP2)
	undo, err := d.configureNaively()
	if err != nil {
		return err
	}
	if err := d.showIP("route"); err != nil {
		return err
	}
	for _, mode := range []struct {
		value, name string
		where       func() (string, error)
	}{
		{"1", "strict, as on RHEL", d.droppedByKernel()},
		{"2", "loose", d.droppedByVPC},
		{"0", "off", d.droppedByVPC},
	} {
		d.say("   rp_filter %s (%s)\n", mode.value, mode.name)
		if err := d.rpFilter(mode.value); err != nil {
			return err
		}
		if err := errors.Join(d.alive(lab.EIP1), d.dead(lab.EIP2, mode.where)); err != nil {
			return err
		}
	}
	d.say("   All of that is undone: eth1 is bare again, rp_filter is 1.\n")
	return errors.Join(d.rpFilter("1"), undo())
}

func (d *demo) rpFilter(value string) error {
	for _, name := range []string{"all", "eth0", "eth1"} {
		if err := d.cloud.Instance().Sysctl("net/ipv4/conf/"+name+"/rp_filter", value); err != nil {
			return err
		}
	}
	return nil
}

// configureNaively does to eth1 what seed 002's NetworkManager did.
func (d *demo) configureNaively() (undo func() error, err error) {
	l, addr, err := d.bringUp("eth1", netip.PrefixFrom(eth1Addr, 24))
	if err != nil {
		return nil, err
	}
	h := d.cloud.Instance().Netlink()
	undo = func() error { return errors.Join(h.AddrDel(l, addr), h.LinkSetDown(l)) }
	return undo, h.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: gateway.AsSlice(), Priority: 101, Protocol: unix.RTPROT_DHCP})
}

// droppedByKernel counts what the instance's own rp_filter drops from now on.
func (d *demo) droppedByKernel() func() (string, error) {
	count := func() (uint64, error) { return d.cloud.Instance().NetStat("TcpExt", "IPReversePathFilter") }
	before, err := count()
	return func() (string, error) {
		now, err2 := count()
		if err := errors.Join(err, err2); err != nil {
			return "", err
		}
		if now == before {
			return "", errors.New("rp_filter dropped nothing")
		}
		return "the instance's kernel dropped the request (rp_filter)", nil
	}
}

// droppedByVPC counts what the VPC's source check drops.
func (d *demo) droppedByVPC() (string, error) {
	drops, err := d.cloud.SourceCheck()
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(drops, func(o lab.Drop) bool { return o.Interface == "eth0" && o.Source == eth1Addr })
	if i < 0 {
		return "", errors.New("the source check dropped nothing")
	}
	return fmt.Sprintf("the answer left by eth0, and the VPC dropped it there (%d so far): %s is not eth0's", drops[i].Packets, eth1Addr), nil
}

// up runs the program that all this is about.
func (d *demo) up() error { return d.show(d.ec2net, "up", "eth1", "--cloud", "ec2") }

func (d *demo) ec2netUp() error {
	if err := d.up(); err != nil {
		return err
	}
	if err := errors.Join(d.has(eth1Addr, true), d.hasRule(eth1Addr), d.hasDefault(10001)); err != nil {
		return err
	}
	if err := errors.Join(d.showIP("rule"), d.showIP("route", "show", "table", "10001"), d.showIP("route")); err != nil {
		return err
	}
	if err := errors.Join(d.alive(lab.EIP1), d.alive(lab.EIP2)); err != nil {
		return err
	}
	rp, err := d.cloud.Instance().ReadSysctl("net/ipv4/conf/all/rp_filter")
	if err == nil && rp != "1" {
		err = fmt.Errorf("rp_filter is %s, it was 1", rp)
	}
	if err == nil {
		d.say("   rp_filter is still 1.\n")
	}
	return err
}

func (d *demo) assign() error {
	d.say("   %s with the elastic IP %s\n", second, third)
	if err := errors.Join(d.cloud.Assign("eth1", second), d.cloud.AssociateEIP(second, third)); err != nil {
		return err
	}
	if err := d.up(); err != nil {
		return err
	}
	if err := errors.Join(d.showIP("-br", "-4", "addr", "show", "eth1"), d.has(second, true), d.hasRule(second)); err != nil {
		return err
	}
	return errors.Join(d.alive(third), d.alive(lab.EIP2), d.alive(lab.EIP1))
}

func (d *demo) release() error {
	if err := d.cloud.Release("eth1", second); err != nil {
		return err
	}
	if err := d.upSoon(); err != nil {
		return err
	}
	if err := errors.Join(d.showIP("-br", "-4", "addr", "show", "eth1"), d.has(second, false)); err != nil {
		return err
	}
	if err := d.hasRule(second); err == nil {
		return fmt.Errorf("the rule from %s is still there", second)
	}
	return errors.Join(d.alive(lab.EIP2), d.alive(lab.EIP1))
}

// upSoon does not wait for the half minute for which the metadata has to leave an address out.
func (d *demo) upSoon() error {
	dir, err := os.MkdirTemp("", "ec2net-demo-")
	if err != nil {
		return fmt.Errorf("make a configuration file: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "ec2net.toml")
	if err := os.WriteFile(file, []byte("release = \"2s\"\n"), 0o600); err != nil {
		return fmt.Errorf("write a configuration file: %w", err)
	}
	d.say("   (with release = \"2s\" in that file: else an address goes after 30 s)\n")
	return d.show(d.ec2net, "up", "eth1", "--cloud", "ec2", "--config", file)
}

func (d *demo) detach() error {
	if err := d.cloud.Detach("eth1"); err != nil {
		return err
	}
	if err := d.show(d.ec2net, "down", "eth1"); err != nil {
		return err
	}
	if err := d.showIP("rule"); err != nil {
		return err
	}
	now, err := d.state()
	if err != nil {
		return err
	}
	if now != d.bare {
		return fmt.Errorf("the instance is not as it was before eth1 came; before:\n%s\nnow:\n%s", d.bare, now)
	}
	d.say("   Links, addresses, routes and rules are as before eth1 came.\n")
	return d.alive(lab.EIP1)
}

// has wants an address to be on eth1, or not to be.
func (d *demo) has(a netip.Addr, want bool) error {
	h := d.cloud.Instance().Netlink()
	l, err := h.LinkByName("eth1")
	if err != nil {
		return err
	}
	addrs, err := h.AddrList(l, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	got := slices.ContainsFunc(addrs, func(x netlink.Addr) bool { return x.IP.Equal(a.AsSlice()) })
	if got != want {
		return fmt.Errorf("%s on eth1: %t, want %t", a, got, want)
	}
	return nil
}

// hasRule wants a rule that sends an address to eth1's table.
func (d *demo) hasRule(a netip.Addr) error {
	rules, err := d.cloud.Instance().Netlink().RuleList(netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if r.Src != nil && r.Src.String() == a.String()+"/32" && r.Table == 10001 {
			return nil
		}
	}
	return fmt.Errorf("no rule from %s to table 10001", a)
}

// hasDefault wants a default route by eth1's gateway in a table.
func (d *demo) hasDefault(table int) error {
	routes, err := d.cloud.Instance().Netlink().RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if (r.Dst == nil || r.Dst.String() == "0.0.0.0/0") && r.Gw.Equal(gateway.AsSlice()) {
			return nil
		}
	}
	return fmt.Errorf("table %d has no default route by %s", table, gateway)
}

// state is everything on the instance that an interface's set-up can change: links with their groups and names,
// addresses, rules and the routes of all tables but the kernel's own.
func (d *demo) state() (string, error) {
	h := d.cloud.Instance().Netlink()
	var lines []string
	links, err := h.LinkList()
	if err != nil {
		return "", err
	}
	for _, l := range links {
		a := l.Attrs()
		lines = append(lines, fmt.Sprintf("link %s mtu %d group %d names %v", a.Name, a.MTU, a.Group, a.AltNames))
		addrs, err := h.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return "", err
		}
		for _, x := range addrs {
			lines = append(lines, "addr "+x.IPNet.String()+" "+a.Name)
		}
	}
	rules, err := h.RuleList(netlink.FAMILY_ALL)
	if err != nil {
		return "", err
	}
	for _, r := range rules {
		lines = append(lines, "rule "+r.String()+" pref "+strconv.Itoa(r.Priority))
	}
	routes, err := h.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return "", err
	}
	for _, r := range routes {
		if r.Table != unix.RT_TABLE_LOCAL {
			lines = append(lines, "route "+r.String())
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}
