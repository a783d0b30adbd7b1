package plumb

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"ec2net/metadata"
)

// Look is the part of Read that tells which interface it is and what its link says: one question to the kernel. An
// error is ErrGone, or of netlink.
func (l *Link) Look() (Snapshot, error) {
	var s Snapshot
	found := false
	var others []Snapshot
	err := l.rt.links(func(one Snapshot) {
		if l.is(one) {
			s, found = one, true
		} else {
			others = append(others, one)
		}
	})
	if err != nil {
		return s, err
	}
	l.among(&s, others)
	if !found {
		return s, fmt.Errorf("%s: %w", l.Name, ErrGone)
	}
	l.Name, l.Index = s.Name, s.Index // from here on it is this interface, whatever it is called
	return s, nil
}

// links walks over the host's devices.
func (s *socket) links(each func(Snapshot)) error {
	// RTEXT_FILTER_SKIP_STATS: counters are half of an answer, and not asked for.
	msgs, err := s.dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, nl.NewIfInfomsg(unix.AF_UNSPEC), attr32(unix.IFLA_EXT_MASK, 1<<3))
	if err != nil {
		return fmt.Errorf("list the network interfaces: %w", err)
	}
	for _, m := range msgs {
		a, err := parseAttrs(m, unix.SizeofIfInfomsg)
		if err != nil {
			return err
		}
		each(linkSnapshot(nl.DeserializeIfInfomsg(m), a))
	}
	return nil
}

// among learns what the host's other devices are to the interface.
func (l *Link) among(s *Snapshot, others []Snapshot) {
	peers := map[metadata.MAC][]Snapshot{}
	s.names = map[int]string{}
	for _, one := range others {
		s.names[one.Index] = one.Name
		if one.MAC == s.MAC && one.isHardware() {
			s.Twins = append(s.Twins, Twin{one.Name, one.Index, one.Master})
		}
		if one.Link.Group == Group {
			s.siblings = append(s.siblings, one.Index)
		}
		switch {
		case slices.Contains(l.scope.Peers, one.MAC) && one.Master == 0:
			peers[one.MAC] = append(peers[one.MAC], one)
		case one.Link.Group == Group:
			s.OthersManaged = true
		}
	}
	for _, mac := range l.scope.Peers {
		if p, ok := peer(peers[mac]); ok {
			s.Groups = append(s.Groups, IfGroup{p.Name, p.Index, p.Link.Group})
		}
		delete(peers, mac)
	}
}

// peer is the interface among devices with one MAC. A bridge may be in the place of an interface. A virtual function
// has its interface's MAC, and is free until that enslaves it: of two, only the one that is in our group
// already is known not to be it.
func peer(list []Snapshot) (Snapshot, bool) {
	ifaces := slices.DeleteFunc(slices.Clone(list), func(s Snapshot) bool { return !s.isHardware() })
	i := slices.IndexFunc(ifaces, func(s Snapshot) bool { return s.Link.Group == Group })
	switch {
	case len(list) == 0:
		return Snapshot{}, false
	case len(ifaces) == 0:
		return list[0], true
	case len(ifaces) == 1:
		return ifaces[0], true
	case i < 0:
		return Snapshot{}, false
	}
	return ifaces[i], true
}

// Virtual reports whether a link of a kind (IFLA_INFO_KIND; empty: hardware) is one that the host makes for itself, and not
// one that the cloud attaches. A veth counts as attached: it is an interface of a container or of the lab.
func Virtual(kind string) bool { return kind != "" && kind != "veth" }

func (s Snapshot) isHardware() bool { return !s.Loopback && !Virtual(s.Kind) }

// is tells the interface from the others: by index once it is known, so that a rename does not confuse.
func (l *Link) is(s Snapshot) bool {
	if l.Index != 0 {
		return s.Index == l.Index
	}
	return s.Name == l.Name || slices.Contains(s.AltNames, l.Name)
}

// linkSnapshot reads a struct ifinfomsg and its IFLA_* attributes (rtnetlink(7)).
func linkSnapshot(info *nl.IfInfomsg, a attrs) Snapshot {
	s := Snapshot{
		// Not IFF_RUNNING: the kernel publishes that one up to a second late (net/core/link_watch.c).
		Carrier:  info.Flags&unix.IFF_LOWER_UP != 0,
		MaxMTU:   int(a.u32(unix.IFLA_MAX_MTU)),
		Master:   int(a.u32(unix.IFLA_MASTER)),
		Loopback: info.Flags&unix.IFF_LOOPBACK != 0,
		Kind:     text(a.nested(unix.IFLA_LINKINFO)[unix.IFLA_INFO_KIND]),
	}
	s.Name, s.Index = text(a[unix.IFLA_IFNAME]), int(info.Index)
	s.Link = LinkState{
		Up:    info.Flags&unix.IFF_UP != 0,
		MTU:   int(a.u32(unix.IFLA_MTU)),
		Group: a.u32(unix.IFLA_GROUP),
	}
	copy(s.MAC[:], a[unix.IFLA_ADDRESS])
	_ = EachAttr(a[unix.IFLA_PROP_LIST], func(t uint16, name []byte) {
		if t == unix.IFLA_ALT_IFNAME {
			s.AltNames = append(s.AltNames, text(name))
		}
	})
	family := a.nested(unix.IFLA_AF_SPEC)
	conf4 := family.nested(unix.AF_INET)[inetConf]
	s.promote = devconf(conf4, devconfPromote-1) != 0
	s.Link.SrcValidMark = devconf(conf4, devconfSrcValidMark-1) != 0
	s.Link.Forwarding = devconf(conf4, devconfForwarding-1) != 0
	conf6 := family.nested(unix.AF_INET6)[inet6Conf] // missing where the interface can do no IPv6
	s.NoIPv6 = len(conf6) == 0 || devconf(conf6, devconfNoIPv6) != 0
	return s
}

// An interface's own sysctls come with the interface (IFLA_AF_SPEC), so that they need no file, whose name a
// rename could change under us.
const (
	inetConf, inet6Conf = 1, 2 // IFLA_INET_CONF, IFLA_INET6_CONF
	// devconfPromote is promote_secondaries (IPV4_DEVCONF_PROMOTE_SECONDARIES of linux/ip.h, which
	// counts from 1).
	devconfPromote    = 20
	devconfForwarding = 1 // forwarding (IPV4_DEVCONF_FORWARDING)
	// devconfSrcValidMark is src_valid_mark (IPV4_DEVCONF_SRC_VMARK).
	devconfSrcValidMark = 24
	// devconfNoIPv6 is disable_ipv6 (DEVCONF_DISABLE_IPV6 of linux/ipv6.h, which counts from 0).
	devconfNoIPv6 = 26
)

// devconf is the sysctl at place i of the list, 0 when the kernel has none.
func devconf(list []byte, i int) uint32 {
	if len(list) < 4*(i+1) {
		return 0
	}
	return binary.NativeEndian.Uint32(list[4*i:])
}

func text(b []byte) string { return strings.TrimRight(string(b), "\x00") }
