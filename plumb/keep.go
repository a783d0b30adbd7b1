package plumb

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What others put on the card stays, although the kernel takes it along with an address of ours.

// keepingSecondaries runs del with the card's promote_secondaries on, when somebody else's address
// lies in the same subnet: without it, the kernel drops those too when a primary address goes. The
// setting is made through rtnetlink, because /proc/sys is read-only in a hardened unit.
func (l *Link) keepingSecondaries(a Addr, have Snapshot, del func() error) error {
	if have.promote || !sharesSubnet(a, have.Addrs) {
		return del()
	}
	if err := l.setPromote(have.Index, 1); err != nil {
		return fmt.Errorf("keep the other addresses of %s: %w", a.Prefix.Masked(), err)
	}
	err := del()
	if off := l.setPromote(have.Index, 0); off != nil {
		return off // of the two, the one that leaves something behind
	}
	return err
}

func sharesSubnet(a Addr, all []Addr) bool {
	for _, b := range all {
		if a.Prefix.Addr().Is4() && b.Prefix != a.Prefix && b.Prefix.Masked() == a.Prefix.Masked() {
			return true
		}
	}
	return false
}

func (l *Link) setPromote(index int, v uint32) error {
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	conf := spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(inetConf, nil)
	conf.AddRtAttr(devconfPromote, nl.Uint32Attr(v))
	return l.setLink(index, spec)
}

// keepingRoutes runs del and puts back the routes that the kernel took with it: when a card's last
// IPv4 address goes, it drops every IPv4 route through the card (fib_disable_ip), whoever made it.
// A route that cannot be put back hung on the address that went.
func (l *Link) keepingRoutes(a Addr, have Snapshot, del func() error) error {
	if !a.Prefix.Addr().Is4() || !strangersRoutes4(have) {
		return del()
	}
	msgs, err := l.dumpRoutes(unix.AF_INET, have.Index)
	if err != nil {
		return err
	}
	err = del()
	for range 2 { // a gateway may need a route that is listed after it
		for _, m := range msgs {
			h := nl.DeserializeRtMsg(m)
			if h.Protocol == Protocol || h.Protocol == unix.RTPROT_KERNEL || h.Table == unix.RT_TABLE_LOCAL {
				continue
			}
			h.Flags &= unix.RTNH_F_ONLINK
			r := l.rt.request(unix.RTM_NEWROUTE, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
			r.AddRawData(m)
			_, _ = r.Execute(unix.NETLINK_ROUTE, 0)
		}
	}
	return err
}

// strangersRoutes4: there are routes that may go, because no address but ours keeps them.
func strangersRoutes4(have Snapshot) bool {
	for _, a := range have.Addrs {
		if !a.Ours && a.Prefix.Addr().Is4() {
			return false
		}
	}
	for _, r := range have.Routes {
		if !r.Ours && r.Dst.Addr().Is4() {
			return true
		}
	}
	return false
}
