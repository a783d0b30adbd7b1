package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"ec2net/metadata"
	"ec2net/plumb"
)

// checkPlan sorts what there would be to do on the interface.
func checkPlan(f Facts, c Interface) []Finding {
	var out []Finding
	for _, op := range c.Plan {
		id, summary := kindOf(op, c)
		if id == "" {
			continue
		}
		iface, about := c.Name, aboutOf(op)
		if op.Kind() == plumb.OpGroup { // a plan sees to the other interfaces' too
			iface = op.Device()
		}
		i := slices.IndexFunc(out, func(o Finding) bool { return o.ID == id && o.Interface == iface })
		if i < 0 {
			i = len(out)
			out = append(out, Finding{ID: id, Verdict: gravity(id), Interface: iface, also: c.Name, Summary: summary, Remedy: again(c)})
		}
		out[i].Evidence = append(out[i].Evidence, "missing: "+op.String())
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
	misrouted := func(p Probe) bool { return !f.right(c, p) }
	ofThese := func(p Probe) bool { return slices.Contains(src, p.Src) && misrouted(p) }
	if !slices.ContainsFunc(c.Probes, ofThese) {
		return "a source rule is missing: answers may leave by another interface"
	}
	return "a source rule is missing: answers" + preposed("to", f.peers(c, src, misrouted)) + " leave by another interface"
}

// gravity is the verdict of a missing or superfluous object: what only costs convenience, or is in nobody's way, is a warning.
func gravity(id string) Verdict {
	switch id {
	case "altname", "leftover", "main-route":
		return Warn
	}
	return Fail
}

// kindOf says which check an operation belongs to; none for what checkLink says.
func kindOf(op plumb.Op, c Interface) (id, summary string) {
	switch op.Kind() {
	case plumb.OpPackets:
		return "packets", "its nftables table is missing or was changed: answers to forwarded traffic may leave by another interface"
	case plumb.OpForwarding:
		if !op.On() {
			return "forwarding", "it forwards traffic, but nothing translates it"
		}
		return "forwarding", "it does not forward the traffic of [nat]"
	case plumb.OpValidMark:
		return "src-valid-mark", "strict rp_filter drops what comes in for containers, because src_valid_mark is off"
	case plumb.OpMTU:
		return "mtu", fmt.Sprintf("its MTU is %d, but the cloud gives another one", c.Have.Link.MTU)
	case plumb.OpGroup:
		return "group", "it is not in the cloud interfaces' group, so the guard rules do not cover it"
	case plumb.OpAddr:
		if op.Verb == plumb.Del {
			return "leftover", "it still has an address that the cloud no longer grants"
		}
		return "address", "an address that the cloud grants is missing"
	case plumb.OpRoute:
		return routeKind(op, c)
	case plumb.OpRule:
		return ruleKind(op)
	case plumb.OpAltName:
		if op.Verb == plumb.Del {
			return "leftover", leftover
		}
		return "altname", "an alternative name is missing"
	}
	return "", ""
}

const leftover = "something that ec2net set up is left over"

// routeKind is kindOf of a route.
func routeKind(op plumb.Op, c Interface) (id, summary string) {
	switch r, _ := op.Route(); {
	case r.Dst == netip.MustParsePrefix("fe80::/64"): // the kernel makes that one in its own time; nothing needs it
		return "", ""
	case op.Verb == plumb.Del:
		return "leftover", leftover
	case r.Table == c.table():
		return "table", fmt.Sprintf("routes are missing in its table %d", r.Table)
	case r.Local:
		return "table", "the host does not answer for a delegated block"
	}
	return "main-route", "its routes in the main table are missing"
}

// ruleKind is kindOf of a rule, which its own Kind tells.
func ruleKind(op plumb.Op) (id, summary string) {
	if op.Verb == plumb.Del {
		return "leftover", leftover
	}
	switch r, _ := op.Rule(); r.Kind() {
	case plumb.RuleMarkIn, plumb.RuleMarkGuard, plumb.RuleMarkReply:
		return "mark-rule", "a rule for marked connections is missing: published containers do not answer by it"
	case plumb.RuleNATMain, plumb.RuleNAT, plumb.RuleNATStop:
		return "nat-rule", "a rule for forwarded traffic is missing: that traffic leaves by another interface"
	case plumb.RuleService, plumb.RuleEgressMain, plumb.RuleEgress:
		return "egress-rule", "a rule for the host's own traffic is missing"
	case plumb.RuleGuard:
		return "guard", "a guard rule is missing: the host's own bridges and tunnels cannot be reached from its addresses"
	case plumb.RuleSource:
		return "source-rule", "a source rule is missing: answers leave by another interface"
	}
	return "", ""
}

// aboutOf are the single addresses that an operation is about.
func aboutOf(op plumb.Op) []netip.Addr {
	if a, ok := op.Addr(); ok {
		return []netip.Addr{a.Prefix.Addr()}
	}
	if r, ok := op.Rule(); ok && r.From.IsSingleIP() {
		return []netip.Addr{r.From.Addr()}
	}
	return nil
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
		ID: "extra-address", Verdict: Warn, Interface: c.Name, Summary: "it has an address that the cloud does not grant it: the cloud drops what it sends from there",
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
		ID: "moved-address", Verdict: Warn, Interface: c.Name, Summary: fmt.Sprintf("it still has %s, which the cloud has moved to %s", p.Addr(), o.Name),
		Remedy: fmt.Sprintf("remove it from the configuration of %s, such as netplan's files; until then: ip addr del %s dev %s", c.Name, p, c.Name), about: []netip.Addr{p.Addr()},
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
