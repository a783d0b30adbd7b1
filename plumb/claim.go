package plumb

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// foreignRule is a rule of somebody else, as far as claims are about it.
type foreignRule struct {
	pref, table, mark, mask uint32
	from, to                netip.Prefix // invalid: all
}

// plugin is a container network plugin (CNI) that attaches the cloud's interfaces itself, and the
// preferences of the rules that it writes on its node: to and from each pod, and one for node ports, which
// have the mark 0x80. It takes every interface of the instance, the primary too, and gives their secondary
// addresses to pods: nothing of an interface is left for anybody else.
type plugin struct {
	name     string
	to       uint32
	from     []uint32
	nodePort uint32
}

// plugins: amazon-vpc-cni-k8s by its pkg/networkutils/network.go; Cilium, with the address management of
// EC2 or Azure, by its pkg/datapath/linux/linux_defaults. In its other modes Cilium leaves the interfaces
// alone: its rules 9, 10 and 100, its tables 2004 and 2005 and its links say nothing.
func plugins() []plugin {
	return []plugin{
		{name: "amazon-vpc-cni", to: 512, from: []uint32{1536}, nodePort: 1024},
		{name: "Cilium", to: 20, from: []uint32{110, 111}, nodePort: 109},
	}
}

const markNodePort = 0x80

// claimedBy names the plugin that has taken the host's interfaces, and the rule that tells it; empty: none.
// One rule to a single address may be anybody's: a pod has one to it and one from it.
func claimedBy(rules []foreignRule) string {
	for _, p := range plugins() {
		to := map[netip.Prefix]bool{}
		for _, r := range rules {
			if r.pref == p.to && single(r.to) && r.table == tableMain {
				to[r.to] = true
			}
		}
		for _, r := range rules {
			node := r.pref == p.nodePort && r.mark == markNodePort && r.mask == markNodePort
			if node || (slices.Contains(p.from, r.pref) && to[r.from]) {
				return p.name + " (" + r.text() + ")"
			}
		}
	}
	return ""
}

// tells: a rule with this preference may be a plugin's.
func tells(pref uint32) bool {
	return slices.ContainsFunc(plugins(), func(p plugin) bool {
		return pref == p.to || pref == p.nodePort || slices.Contains(p.from, pref)
	})
}

func single(p netip.Prefix) bool { return p.IsValid() && p.IsSingleIP() }

// text is the rule as ip(8) shows it.
func (r foreignRule) text() string {
	s := fmt.Sprintf("rule %d:", r.pref)
	if r.from.IsValid() {
		s += " from " + dstText(r.from)
	}
	if r.to.IsValid() {
		s += " to " + dstText(r.to)
	}
	if r.mark != 0 {
		s += fmt.Sprintf(" fwmark %#x/%#x", r.mark, r.mask)
	}
	if r.table == tableMain {
		return s + " lookup main"
	}
	return s + " lookup " + u(r.table)
}

// parseForeign takes what may be a plugin's rule.
func parseForeign(m []byte) (r foreignRule, ok bool) {
	a, err := parseAttrs(m, unix.SizeofRtMsg)
	if err != nil {
		return r, false
	}
	if p := a[nl.FRA_PROTOCOL]; len(p) > 0 && p[0] == Protocol {
		return r, false
	}
	h := nl.DeserializeRtMsg(m)
	prefix := func(t uint16, bits uint8) netip.Prefix { return netip.PrefixFrom(a.addr(t), int(bits)) }
	r = foreignRule{
		pref: a.u32(nl.FRA_PRIORITY), table: a.u32or(nl.FRA_TABLE, uint32(h.Table)),
		mark: a.u32(nl.FRA_FWMARK), mask: a.u32(nl.FRA_FWMASK),
		from: prefix(nl.FRA_SRC, h.Src_len), to: prefix(nl.FRA_DST, h.Dst_len),
	}
	return r, h.Type == unix.RTN_UNICAST && tells(r.pref)
}
