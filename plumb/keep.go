package plumb

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What others put on the interface stays, although the kernel takes it along with an address of ours.

// removeAddr deletes an address of ours together with what keeps the others' things, so that nothing
// of theirs is missing when the process is killed in between.
//
// Without promote_secondaries the kernel drops the other addresses of the subnet when a primary one
// goes. The setting is made through rtnetlink, because /proc/sys is read-only in a hardened unit.
//
// When an interface's last IPv4 address goes, the kernel drops every IPv4 route through the interface
// (fib_disable_ip), whoever made it. A route that cannot be put back hung on the address that went.
func (l *Link) removeAddr(a Addr, have Snapshot, del *nl.NetlinkRequest) error {
	routes, err := l.takenAlong(a, have)
	if err != nil {
		return err
	}
	list, at := []*nl.NetlinkRequest{del}, 0
	if !have.promote && sharesSubnet(a, have.Addrs) {
		// The kernel goes on after a refusal: see first that it does not refuse the setting.
		if _, errs := l.rt.execute(0, l.promote(have.Index, 0)); errs[0] != nil {
			return fmt.Errorf("keep the other addresses of %s: %w", a.Prefix.Masked(), errs[0])
		}
		list, at = []*nl.NetlinkRequest{l.promote(have.Index, 1), del, l.promote(have.Index, 0)}, 1
	}
	_, errs := l.rt.execute(0, append(list, l.additions(routes)...)...)
	var off error
	if at == 1 && errs[2] != nil {
		_, again := l.rt.execute(0, l.promote(have.Index, 0))
		off = harm(fmt.Errorf("switch promote_secondaries of %s off again", l.Name), again[0])
	}
	return errors.Join(errs[at], off, l.putBack(routes, have.Index))
}

// errHarm marks what an operation did to something that is not ours. It is told also when the plan
// has succeeded in the end.
var errHarm = errors.New("not undone")

func harm(what, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w: %w", what, errHarm, err)
}

func sharesSubnet(a Addr, all []Addr) bool {
	for _, b := range all {
		if a.Prefix.Addr().Is4() && b.Prefix != a.Prefix && b.Prefix.Masked() == a.Prefix.Masked() {
			return true
		}
	}
	return false
}

// promote is the request that sets the interface's promote_secondaries.
func (l *Link) promote(index int, v uint32) *nl.NetlinkRequest {
	return l.devconf(index, devconfPromote, v)
}

// devconf is the request that sets one of the interface's own IPv4 sysctls.
func (l *Link) devconf(index, key int, v uint32) *nl.NetlinkRequest {
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	conf := spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(inetConf, nil)
	conf.AddRtAttr(key, nl.Uint32Attr(v))
	return l.rt.linkRequest(index, spec)
}

// takenAlong are the others' routes that may go with an address, as the kernel lists them: those on
// the link first, which the gateways of the rest need.
func (l *Link) takenAlong(a Addr, have Snapshot) (out [][]byte, err error) {
	if !a.Prefix.Addr().Is4() || !strangersRoutes4(have) {
		return nil, nil
	}
	msgs, err := l.routes(unix.AF_INET, have.Index)
	if err != nil {
		return nil, err
	}
	for _, m := range msgs {
		h := nl.DeserializeRtMsg(m)
		if h.Protocol != Protocol && h.Protocol != unix.RTPROT_KERNEL && h.Table != unix.RT_TABLE_LOCAL {
			h.Flags &= unix.RTNH_F_ONLINK
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(a, b []byte) int {
		return int(nl.DeserializeRtMsg(b).Scope) - int(nl.DeserializeRtMsg(a).Scope)
	})
	return out, nil
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

// additions are the requests for routes that the kernel listed.
func (l *Link) additions(routes [][]byte) (out []*nl.NetlinkRequest) {
	for _, m := range routes {
		r := l.rt.request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
		r.AddRawData(m)
		out = append(out, r)
	}
	return out
}

// putBack sees that the routes are there, and adds what is missing.
func (l *Link) putBack(routes [][]byte, index int) error {
	if len(routes) == 0 {
		return nil
	}
	msgs, err := l.routes(unix.AF_INET, index)
	errs := []error{harm(errors.New("see whether other programs' routes are there"), err)}
	there := make(map[string]bool, len(msgs))
	for _, m := range msgs {
		there[routeText(m)] = true
	}
	for i, r := range l.additions(routes) {
		if there[routeText(routes[i])] {
			continue
		}
		r.Flags |= unix.NLM_F_ACK
		_, got := l.rt.execute(0, r)
		switch {
		case got[0] == nil, errors.Is(got[0], unix.EEXIST), errors.Is(got[0], unix.ENETUNREACH), errors.Is(got[0], unix.EINVAL):
		default:
			o, _, _ := parseRoute(routes[i], index)
			errs = append(errs, harm(fmt.Errorf("put back another program's %s", o.text(l.Name)), got[0]))
		}
	}
	return errors.Join(errs...)
}

// routeText is a route as the kernel lists it, but for the state of the link: the same for the same route.
func routeText(m []byte) string {
	const flags = 8 // where struct rtmsg has them
	return string(m[:flags]) + string(m[unix.SizeofRtMsg:])
}
