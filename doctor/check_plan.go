package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ec2net/metadata"
	"ec2net/plumb"
)

// checkPlan sorts what there would be to do on the interface. An operation's text is a contract: it is ip(8)'s.
func checkPlan(f Facts, c Interface) []Finding {
	var out []Finding
	for _, op := range c.Plan {
		id, summary := kindOf(op, c)
		if id == "" {
			continue
		}
		iface, about := c.Name, aboutOf(op)
		if id == "group" { // a plan sees to the other interfaces' too
			iface = strings.Fields(op.String())[2]
		}
		i := slices.IndexFunc(out, func(o Finding) bool { return o.ID == id && o.Interface == iface })
		if i < 0 {
			i = len(out)
			out = append(out, Finding{ID: id, Verdict: gravity(id), Interface: iface, also: c.Name, Summary: summary, Remedy: again(c)})
		}
		out[i].Evidence = append(out[i].Evidence, "the kernel needs: "+op.String())
		out[i].about = append(out[i].about, about...)
	}
	for i := range out {
		if out[i].ID == "source-rule" {
			out[i].Summary = f.withoutSource(c, out[i].about)
		}
	}
	return out
}

// withoutSource says what comes of it that source rules are missing: main knows the way to some hosts all the same.
func (f Facts) withoutSource(c Interface, src []netip.Addr) string {
	astray := func(p Probe) bool { return !f.right(c, p) }
	ofThese := func(p Probe) bool { return slices.Contains(src, p.Src) && astray(p) }
	if !slices.ContainsFunc(c.Probes, ofThese) {
		return "a source rule is missing: answers may leave by another interface"
	}
	return "a source rule is missing: answers" + preposed("to", f.peers(c, src, astray)) + " leave by another interface"
}

func gravity(id string) Verdict {
	switch id {
	case "altname", "leftover", "main-route":
		return Warn
	}
	return Fail
}

// kindOf says which check an operation belongs to; none for what checkLink says.
func kindOf(op plumb.Op, c Interface) (id, summary string) {
	f := strings.Fields(op.String())
	if len(f) < 2 {
		return "", ""
	}
	text := op.String()
	switch {
	case strings.Contains(text, " fe80::/64 "): // the kernel makes that one in its own time; nothing needs it
		return "", ""
	case f[1] == "table":
		return "packets", "its nftables table is missing or altered: answers to forwarded traffic may leave by another interface"
	case f[1] == "sysctl" && strings.HasSuffix(text, "/forwarding=0"):
		return "forwarding", "it forwards, and nothing translates what is passed on"
	case f[1] == "sysctl" && strings.Contains(text, "/forwarding="):
		return "forwarding", "it does not pass on what [nat] says"
	case f[1] == "sysctl":
		return "src-valid-mark", "strict rp_filter drops what comes in for containers: the mark of their connections does not count"
	case f[1] == "rule" && op.Verb == plumb.Add && pref(f) < 30000 && asksForMark(f):
		return "mark-rule", "a rule for marked connections is missing: published containers do not answer by it"
	case f[1] == "rule" && op.Verb == plumb.Add && pref(f) >= 30000 && slices.Contains(f, "iif"):
		return "nat-rule", "a rule for traffic that is passed on is missing: it leaves by another interface"
	case f[1] == "rule" && op.Verb == plumb.Add && pref(f) >= 30000:
		return "egress-rule", "a rule for the host's own traffic is missing"
	case f[1] == "rule" && op.Verb == plumb.Add && strings.Contains(text, " suppress_"):
		return "guard", "a guard rule is missing: the host's own bridges and tunnels are not reached from its addresses"
	case f[1] == "rule" && op.Verb == plumb.Add:
		return "source-rule", "a source rule is missing: answers leave by another interface"
	case f[1] == "addr" && op.Verb == plumb.Add:
		return "address", "an address that the cloud grants is missing"
	case op.Verb == plumb.Del && f[1] == "addr":
		return "leftover", "an address is left that the cloud does not grant any more"
	case op.Verb == plumb.Del && f[1] != "link":
		return "leftover", "something of ec2net's is left that nothing needs"
	case f[1] == "route" && strings.Contains(text, fmt.Sprintf(" table %d", c.table())):
		return "table", fmt.Sprintf("routes are missing in its table %d", c.table())
	case f[1] == "route" && strings.Contains(text, " table local"):
		return "table", "the host does not answer for a delegated block"
	case f[1] == "route":
		return "main-route", "its routes in the table main are missing"
	case f[1] == "altname":
		return "altname", "an alternative name is missing"
	case f[1] == "link" && slices.Contains(f, "mtu"):
		return "mtu", fmt.Sprintf("its MTU is %d, and the lease says another", c.Have.Link.MTU)
	case f[1] == "link" && slices.Contains(f, "group"):
		return "group", "it is not in the interface group of the cloud's interfaces, so that the guard rules do not know it"
	}
	return "", ""
}

// asksForMark: the rule compares the packet's mark. A mask of 0 only says whose the rule is.
func asksForMark(fields []string) bool {
	i := slices.Index(fields, "fwmark")
	return i >= 0 && i+1 < len(fields) && !strings.HasSuffix(fields[i+1], "/0")
}

// pref is the preference at the end of a rule's text.
func pref(fields []string) int {
	n, _ := strconv.Atoi(fields[len(fields)-1])
	return n
}

// aboutOf are the single addresses that an operation is about.
func aboutOf(op plumb.Op) (out []netip.Addr) {
	f := strings.Fields(op.String())
	for i, word := range f {
		if i < 2 || f[1] != "addr" && f[i-1] != "from" {
			continue
		}
		if p, err := netip.ParsePrefix(word); err == nil && f[1] == "addr" {
			out = append(out, p.Addr())
		}
		if a, err := netip.ParseAddr(word); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// checkExtra looks for addresses of others that the cloud does not know: it drops what comes from them.
func checkExtra(f Facts, c Interface) (out []Finding) {
	if c.Source != FromMetadata {
		return nil
	}
	var extra []netip.Addr
	for _, a := range c.Have.Addrs {
		if ip := a.Prefix.Addr(); !a.Ours && !ip.IsLinkLocalUnicast() && !c.grants(ip) {
			if o, moved := f.grantee(ip); moved {
				out = append(out, movedAddress(c, o, a.Prefix))
				continue
			}
			extra = append(extra, ip)
		}
	}
	if len(extra) == 0 {
		return out
	}
	return append(out, Finding{
		ID: "extra-address", Verdict: Warn, Interface: c.Name, Summary: "it has an address that the cloud does not grant it: what comes from there is dropped",
		Evidence: []string{fmt.Sprint(extra)}, Remedy: "assign it to the interface in the cloud, or: ip addr del " + extra[0].String() + " dev " + c.Name, about: extra,
	})
}

// grantee is the interface of this host that the cloud grants an address.
func (f Facts) grantee(a netip.Addr) (Interface, bool) {
	for _, o := range f.Interfaces {
		if slices.Contains(o.addrs(), a) {
			return o, true
		}
	}
	return Interface{}, false
}

// movedAddress: the cloud gave the address to another interface of the host, and somebody keeps it on this one.
func movedAddress(c, o Interface, p netip.Prefix) Finding {
	out := Finding{
		ID: "moved-address", Verdict: Warn, Interface: c.Name, Summary: fmt.Sprintf("it keeps %s, which the cloud has given to %s", p.Addr(), o.Name),
		Remedy: fmt.Sprintf("take it out of what configures %s, such as netplan's files; until then: ip addr del %s dev %s", c.Name, p, c.Name), about: []netip.Addr{p.Addr()},
	}
	if c.Manager != "" {
		out.Evidence = []string{c.Name + " is configured by " + c.Manager}
	}
	return out
}

// grants: the cloud grants the address, or could not be asked about its family.
func (c Interface) grants(a netip.Addr) bool {
	addrs, prefixes := c.Granted.Addrs4, c.Granted.Prefixes4
	if a.Is6() {
		addrs, prefixes = c.Granted.Addrs6, c.Granted.Prefixes6
	}
	if addrs.Status == metadata.Unavailable || slices.Contains(addrs.Value, a) {
		return true
	}
	return slices.ContainsFunc(prefixes.Value, func(p netip.Prefix) bool { return p.Contains(a) })
}
