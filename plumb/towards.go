package plumb

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"ec2net/metadata"
)

// Towards names the device by which a server of the cloud is asked. The cloud answers by its own interfaces alone, so
// that the host's routing counts only where it leads by one of them, or by what stands on one. Where it leads into a
// tunnel, or nowhere, it is the primary if that is known, else the interface by which main has its best default
// route, else the first one that has an address. Empty: no device is better than what the routing says. A route that
// refuses is meant so, as systemd-imdsd's lock is: a socket that is bound would pass it by, which the kernel takes
// for one whose destination is on the link.
func Towards(server netip.AddrPort, user uint32, primary func() metadata.MAC) (string, error) {
	rt, err := dial()
	if err != nil {
		return "", err
	}
	defer rt.close()
	way, lost, err := rt.lookUpFlow(Flow{Remote: server, UID: user})
	if err != nil || way.Local || (way.Index == 0 && !lost) {
		return "", err
	}
	devices := map[int]Snapshot{}
	if err := rt.links(func(s Snapshot) { devices[s.Index] = s }); err != nil {
		return "", err
	}
	t := toward{devices: devices, six: server.Addr().Is6()}
	if d, ok := devices[way.Index]; ok && t.cloudy(d) {
		return d.Name, nil
	}
	if err := t.read(rt); err != nil {
		return "", err
	}
	t.primary = primary()
	return t.best(), nil
}

// lookUpFlow looks a flow's way up. lost: there is no route at all, not even one that refuses.
func (s *socket) lookUpFlow(f Flow) (w Way, lost bool, err error) {
	dst := f.Remote.Addr()
	msg := &nl.RtMsg{}
	msg.Family, msg.Dst_len = uint8(familyOf(dst)), uint8(dst.BitLen())
	data := append([]nl.NetlinkRequestData{msg, attrIP(unix.RTA_DST, dst), attr32(unix.RTA_UID, f.UID)}, ports(f)...)
	msgs, err := s.request(unix.RTM_GETROUTE, 0, data...).Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
	switch {
	case refused(err):
		return w, errors.Is(err, unix.ENETUNREACH), nil
	case err != nil || len(msgs) != 1:
		return w, false, fmt.Errorf("look up the route of %s: %w", f, err)
	}
	w, err = parseWay(msgs[0])
	return w, false, err
}

// toward is what the choice is made from.
type toward struct {
	devices   map[int]Snapshot
	six       bool
	primary   metadata.MAC
	addressed map[int]bool   // devices that have an address of the family
	metrics   map[int]uint32 // of main's best default route through a device
}

// cloudy reports whether a device is an interface of the cloud, or stands on one. The bridge of containers has none
// but veth pairs, which may be interfaces of the cloud only by themselves.
func (t toward) cloudy(d Snapshot) bool {
	if d.isHardware() || slices.Contains([]string{"bond", "team", "vlan", "macvlan", "ipvlan", "vrf"}, d.Kind) {
		return true
	}
	for _, port := range t.devices {
		if port.Master == d.Index && port.Kind == "" {
			return true
		}
	}
	return false
}

func (t *toward) read(rt *socket) error {
	t.addressed, t.metrics = map[int]bool{}, map[int]uint32{}
	family := unix.AF_INET
	if t.six {
		family = unix.AF_INET6
	}
	msgs, err := rt.dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, nl.NewIfAddrmsg(family))
	if err != nil {
		return err
	}
	for _, m := range msgs {
		index := int(nl.DeserializeIfAddrmsg(m).Index)
		a, ok, err := parseAddr(m, index)
		if err != nil {
			return err
		}
		if ip := a.Prefix.Addr(); ok && (!t.six || !ip.IsLinkLocalUnicast()) {
			t.addressed[index] = true
		}
	}
	return rt.mainRoutes(family, func(h *nl.RtMsg, a attrs) {
		if h.Dst_len != 0 || h.Type != unix.RTN_UNICAST {
			return
		}
		for _, index := range outs(a) {
			if m, ok := t.metrics[index]; !ok || a.u32(unix.RTA_PRIORITY) < m {
				t.metrics[index] = a.u32(unix.RTA_PRIORITY)
			}
		}
	})
}

// best is the first of what could be asked by.
func (t toward) best() string {
	var list []Snapshot
	for _, d := range t.devices {
		if t.addressed[d.Index] && t.cloudy(d) && !d.Loopback {
			list = append(list, d)
		}
	}
	if len(list) == 0 {
		return ""
	}
	return slices.MinFunc(list, t.compare).Name
}

// compare puts the primary first, then goes by main's default routes, then by age.
func (t toward) compare(a, b Snapshot) int {
	rank := func(d Snapshot) int {
		metric, routed := t.metrics[d.Index]
		switch {
		case d.MAC == t.primary && t.primary != (metadata.MAC{}):
			return -1
		case routed:
			return int(metric)
		}
		return 1 << 40
	}
	if r := rank(a) - rank(b); r != 0 {
		return r
	}
	return a.Index - b.Index
}
