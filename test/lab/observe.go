package lab

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Drop says how many packets of one source the fabric has dropped that came by one interface.
type Drop struct {
	Interface string     `json:"interface"` // as it was called; it may be gone
	Source    netip.Addr `json:"source"`
	Packets   int        `json:"packets"`
}

// Spoofed counts the packets from an interface that failed the source check: their source is not the interface's.
func (c *Cloud) Spoofed(key string) (int, error) {
	k, err := c.Interface(key)
	if err != nil {
		return 0, err
	}
	drops, err := c.SourceCheck()
	if err != nil {
		return 0, err
	}
	total := 0
	for _, d := range drops {
		if o, err := c.Interface(d.Interface); err == nil && o.MAC == k.MAC {
			total += d.Packets
		}
	}
	return total, nil
}

// SourceCheck lists what the source/destination check has dropped, by interface and source.
func (c *Cloud) SourceCheck() ([]Drop, error) {
	v4, err4 := c.net.filter.drops(c.net.filter.spoofed4)
	v6, err6 := c.net.filter.drops(c.net.filter.spoofed6)
	return c.name(append(v4, v6...)), errors.Join(err4, err6)
}

// NoPublicAddress lists what was dropped on its way to the internet for want of an elastic IP. On Azure
// that is what an interface forwards: a public address belongs to an interface's own address.
func (c *Cloud) NoPublicAddress() ([]Drop, error) {
	found, err := c.net.filter.drops(c.net.filter.noPublic)
	return c.name(found), err
}

// Astray lists what was dropped on its way to the fabric's own servers, because it did not come from the primary
// interface, on Azure from that one's primary address.
func (c *Cloud) Astray() ([]Drop, error) {
	v4, err4 := c.net.filter.drops(c.net.filter.astray4)
	v6, err6 := c.net.filter.drops(c.net.filter.astray6)
	return c.name(append(v4, v6...)), errors.Join(err4, err6)
}

// name puts the interfaces' names to what the filter counted by interface.
func (c *Cloud) name(found []drop) []Drop {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []Drop
	for _, d := range found {
		out = append(out, Drop{c.past[d.index], d.source, d.packets})
	}
	slices.SortFunc(out, func(a, b Drop) int {
		return cmp.Or(strings.Compare(a.Interface, b.Interface), a.Source.Compare(b.Source))
	})
	return out
}

// Traffic counts the frames on an interface's cable since it was plugged in.
type Traffic struct {
	FromInterface      uint64 `json:"from_interface"`
	ToInterface        uint64 `json:"to_interface"`
	FromInterfaceBytes uint64 `json:"from_interface_bytes"`
	ToInterfaceBytes   uint64 `json:"to_interface_bytes"`
}

// Traffic reads the counters of an interface's cable.
func (c *Cloud) Traffic(key string) (Traffic, error) {
	p, err := c.portOf(key)
	if err != nil {
		return Traffic{}, err
	}
	l, err := c.fabric.nl.LinkByIndex(p.index)
	if err != nil {
		return Traffic{}, fmt.Errorf("read the counters of %s: %w", key, err)
	}
	s := l.Attrs().Statistics
	return Traffic{s.RxPackets, s.TxPackets, s.RxBytes, s.TxBytes}, nil
}

func (c *Cloud) portOf(key string) (port, error) {
	k, err := c.of(key)
	if err != nil {
		return port{}, err
	}
	return k.port, nil
}

// of finds an interface, and returns it as it is at this moment.
func (c *Cloud) of(key string) (*iface, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	k, err := c.find(key)
	if err != nil {
		return nil, err
	}
	frozen := *k
	frozen.Interface = k.clone()
	return &frozen, nil
}

// NetStat reads a counter of the node's kernel, as nstat names it: "TcpExt", "IPReversePathFilter" (packets
// that rp_filter dropped); "Icmp", "InEchos".
func (n *Node) NetStat(group, name string) (value uint64, err error) {
	err = n.Do(func() error {
		for _, file := range []string{"netstat", "snmp"} {
			b, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil {
				return err
			}
			if v, ok := findCounter(b, group, name); ok {
				value, err = strconv.ParseUint(v, 10, 64)
				return err
			}
		}
		return fmt.Errorf("the kernel has no counter %s%s", group, name)
	})
	return value, err
}

// findCounter looks through pairs of lines, names above values.
func findCounter(b []byte, group, name string) (string, bool) {
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		names := strings.Fields(lines.Text())
		if !lines.Scan() {
			return "", false
		}
		values := strings.Fields(lines.Text())
		i := slices.Index(names, name)
		if len(names) > 0 && names[0] == group+":" && i > 0 && i < len(values) {
			return values[i], true
		}
	}
	return "", false
}
