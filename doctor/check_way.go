package doctor

import (
	"fmt"
	"net/netip"
	"slices"
)

// checkLeave: by the kernel's own look-up, what is sent from each address of the interface leaves by it.
func checkLeave(f Facts, c Interface) []Finding {
	var out []Finding
	misrouted := func(p Probe) bool { return !f.right(c, p) }
	for _, p := range c.Probes {
		if !misrouted(p) {
			continue
		}
		to := preposed("to", f.peers(c, []netip.Addr{p.Src}, misrouted))
		add(&out, Finding{
			ID: "leave", Verdict: Fail, Interface: c.Name, Summary: fmt.Sprintf("answers from %s%s do not leave by it: the cloud drops them", p.Src, to),
			Evidence: []string{fmt.Sprintf("to %s: %s", p.Peer, f.FIB.answer(p.Leaves))}, about: []netip.Addr{p.Src},
			Remedy: fmt.Sprintf("ec2net explain %s %s shows which rule decides", p.Src, p.Peer),
		})
	}
	return out
}

// right: by the kernel's answer the packet leaves by the interface, or by what the host has for such a destination
// itself. A route that takes the Internet, or a part of it, into a tunnel is not that.
func (f Facts) right(c Interface, p Probe) bool {
	if p.Leaves.End != Forward || p.Leaves.Device == c.Index {
		return p.Leaves.End == Forward
	}
	path := f.FIB.way(Packet{Src: p.Src, Dst: p.Peer})
	return path.End == Forward && f.rightWay(c, path)
}

// checkEnter: by the kernel's own look-up, what comes in by the interface for each of its addresses is let in.
func checkEnter(f Facts, c Interface) []Finding {
	var out []Finding
	kept := func(p Probe) bool { return p.Enters.Errno != 0 || p.Enters.End != Local }
	for _, p := range c.Probes {
		private, ok := f.private(c, p)
		if !kept(p) || (!c.Managed && !ok) {
			continue
		}
		from := preposed("from", f.peers(c, []netip.Addr{p.Src}, kept))
		fd := Finding{
			ID: "enter", Verdict: Fail, Interface: c.Name, Summary: fmt.Sprintf("the kernel rejects what comes in for %s%s", p.Src, from), about: []netip.Addr{p.Src},
			Evidence: []string{fmt.Sprintf("from %s: %s", p.Peer, f.FIB.answer(p.Enters))},
			Remedy:   fmt.Sprintf("ec2net explain %s %s --in %s shows why", p.Peer, p.Src, c.Name),
		}
		if ok {
			fd = f.rpFilter(c, p, private, from)
		}
		add(&out, fd)
	}
	return out
}

// private is a rule by which some answers leave by the interface, of one user or with one mark, while the reverse
// path check drops the questions: it looks up as user 0, and without a mark. Only then is rp_filter itself at
// fault; otherwise it only tells of an answer that would leave by another interface, and be dropped by the cloud.
func (f Facts) private(c Interface, p Probe) (Rule, bool) {
	if !p.Enters.dropped() {
		return Rule{}, false
	}
	check := checkSource(f.FIB, Packet{Src: p.Peer, Dst: p.Src, In: c.Index}, 0)
	if !check.Drops || check.Mode == 0 {
		return Rule{}, false
	}
	for _, r := range f.FIB.Rules {
		selective := r.UID.Set || r.Mask != 0
		if !selective || r.Not || r.ours() {
			continue
		}
		if f.FIB.way(Packet{Src: p.Src, Dst: p.Peer, UID: r.UID.First, Mark: r.Mark}).leavesBy(c.Index) {
			return r, true
		}
	}
	return Rule{}, false
}

// rpFilter is the finding for a packet that the reverse path check alone keeps out. The remedy is the smallest that works: loose
// mode (RFC 3704 section 2.4), or the mark in the check's look-up (src_valid_mark of Documentation/networking/ip-sysctl.rst).
func (f Facts) rpFilter(c Interface, p Probe, r Rule, from string) Finding {
	out := Finding{
		ID: "rp_filter", Verdict: Fail, Interface: c.Name, Summary: fmt.Sprintf("the reverse path check drops what comes in for %s%s", p.Src, from), about: []netip.Addr{p.Src},
		Evidence: []string{
			fmt.Sprintf("from %s: %s", p.Peer, f.FIB.answer(p.Enters)), f.FIB.link(c.Index).Conf.modeText(c.Name),
			fmt.Sprintf("answers leave by %s through a rule that the check does not use: %d: %s", c.Name, r.Pref, r),
		},
		Remedy: fmt.Sprintf("sysctl -w net.ipv4.conf.%s.rp_filter=2 (the larger of \"all\" and the interface's own applies)", c.Name),
	}
	if r.Mask != 0 && !r.UID.Set {
		out.Remedy = fmt.Sprintf("sysctl -w net.ipv4.conf.%s.src_valid_mark=1, if incoming packets have the mark; else rp_filter=2", c.Name)
	}
	return out
}

// add joins what was found for several peers of one address.
func add(list *[]Finding, f Finding) {
	i := slices.IndexFunc(*list, func(o Finding) bool { return o.ID == f.ID && o.Interface == f.Interface && o.Summary == f.Summary })
	if i < 0 {
		*list = append(*list, f)
		return
	}
	(*list)[i].Evidence = append((*list)[i].Evidence, f.Evidence[0])
}
