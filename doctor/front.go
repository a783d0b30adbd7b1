package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ec2net/plumb"
)

// overruled is the way that a packet would take without the rules of other programs that come before ec2net's own
// for its source. ok: ec2net has some, another program's decides, and it decides otherwise.
func (f FIB) overruled(p Packet, is Path) (should Path, ok bool) {
	limit := f.ownLimit(p)
	if limit == 0 || !is.By.inFront(limit) {
		return Path{}, false
	}
	own := f
	own.Rules = slices.DeleteFunc(slices.Clone(f.Rules), func(r Rule) bool { return r.inFront(limit) })
	should = own.way(p)
	return should, !should.same(is)
}

// inFront: it is another program's, and comes before the rules of ec2net that end at limit, or among them.
func (r Rule) inFront(limit uint32) bool {
	return r != Rule{} && !r.ours() && r.Table != tableLocal && r.Pref <= limit
}

// ownLimit is the preference of ec2net's last rule for the source of a packet that the host sends; 0: it has none.
func (f FIB) ownLimit(p Packet) (limit uint32) {
	for _, r := range f.Rules {
		named := r.From.IsValid() && r.From.Bits() > 0 && r.From.Contains(p.Src)
		if r.ours() && named && r.IIF == "" {
			limit = max(limit, r.Pref)
		}
	}
	return limit
}

// same: both lead to the same router by the same device.
func (p Path) same(o Path) bool { return p.End == o.End && slices.Equal(p.Hops, o.Hops) }

// outcome is where a path ends, in a few words.
func (f FIB) outcome(p Path) string {
	if p.End != Forward {
		return p.End.String()
	}
	var by []string
	for _, h := range p.Hops {
		by = append(by, strings.TrimSpace(f.hop(Hop{Index: h.Index, Via: h.Via})))
	}
	return strings.Join(by, " or ")
}

// behind says how to have ec2net's rules, of which the last has a preference, decide before those of others.
func (f FIB) behind(rules []Rule, last uint32) string {
	if !slices.ContainsFunc(rules, func(r Rule) bool { return !r.tailscale() }) {
		return "Tailscale's rules (5210 to 5270) cannot be moved: set priority = 1000 at the top of ec2net.toml; systemctl restart 'ec2net-ifup@*'"
	}
	return fmt.Sprintf("%s; until then: %s", f.placed(rules, last), f.moved(rules))
}

// placed says how each program is told to put its rules behind a preference.
func (f FIB) placed(rules []Rule, last uint32) string {
	var out []string
	for _, r := range rules {
		by := f.ofRule(r)
		how := fmt.Sprintf("give it a preference above %d %s", last, by.where())
		switch by.Program {
		case "wg-quick":
			how = fmt.Sprintf("set Table = off %s and add the rules with a preference above %d (docs/neighbours.md, WireGuard)", by.where(), last)
		case "strongSwan":
			how = fmt.Sprintf("set charon.routing_table_prio = %d in strongswan.conf", max(last+1, 32000))
		}
		if !slices.Contains(out, how) {
			out = append(out, how)
		}
	}
	return strings.Join(out, "; ")
}

// tailscale: the rule is one of those that tailscaled writes, and writes again when they are moved.
func (r Rule) tailscale() bool {
	return r.Pref >= 5210 && r.Pref <= 5270 && r.Pref%10 == 0 && !r.ours()
}

// moved are the commands that put rules behind ec2net's own and before main's, in the same order: from 32000 on,
// or from the first preference after it where there is room.
func (f FIB) moved(rules []Rule) string {
	const behind = 32000
	next := uint32(behind)
	for slices.ContainsFunc(f.Rules, func(r Rule) bool { return r.Pref >= next && r.Pref < next+uint32(len(rules)) }) {
		next++
	}
	var out []string
	for i, r := range rules {
		ip := "ip rule"
		if r.Six {
			ip = "ip -6 rule"
		}
		out = append(out, fmt.Sprintf("%s add pref %d %s && %s del pref %d %s", ip, next+uint32(i), r, ip, r.Pref, r))
	}
	return strings.Join(out, "; ")
}

// swayed is what a rule of another program makes of a conversation of one of the interface's addresses.
type swayed struct {
	rule       Rule
	src, peer  netip.Addr
	is, should Path
	lost       bool // else only the host's own routes are not reached
}

// swayed walks from each address of an interface to a peer of each kind: far away, in each subnet of the cloud, and
// behind each bridge, tunnel and static route of the host.
func (f Facts) swayed(c Interface) (out []swayed) {
	if !c.hasRules() || !slices.ContainsFunc(f.FIB.Rules, func(r Rule) bool { return r.inFront(c.last()) }) {
		return nil
	}
	for _, p := range c.Probes {
		if s, ok := f.sway(c, p.Src, p.Peer); ok && !s.is.leavesBy(c.Index) {
			s.lost = true
			out = append(out, s)
		}
	}
	for _, src := range c.sources() {
		for _, peer := range f.routed(src.Is6()) {
			if s, ok := f.sway(c, src, peer); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

// sway: without the rules of others the packet would leave as it should.
func (f Facts) sway(c Interface, src, peer netip.Addr) (swayed, bool) {
	packet := Packet{Src: src, Dst: peer}
	is := f.FIB.way(packet)
	should, differs := f.FIB.overruled(packet, is)
	return swayed{rule: is.By, src: src, peer: peer, is: is, should: should}, differs && f.rightWay(c, should)
}

// rightWay: the packet leaves by the interface, or by what the host has for such a destination itself.
func (f Facts) rightWay(c Interface, p Path) bool {
	cloud := func(i int) bool {
		return i != c.Index && slices.ContainsFunc(f.Interfaces, func(o Interface) bool { return o.Index == i })
	}
	if p.End != Forward || p.leavesBy(c.Index) {
		return p.End == Forward
	}
	return !plumb.Internet(p.Route.Dst) && !slices.ContainsFunc(p.by(), cloud)
}

// routed are addresses behind the host's own routes: bridges, tunnels, and static routes, one for each way, and
// not more than are needed to see whether they are reached at all.
func (f Facts) routed(six bool) (out []netip.Addr) {
	const most = 16
	seen := map[Hop]bool{}
	for _, r := range f.FIB.table(tableMain) {
		if len(out) == most || len(r.Hops) == 0 || seen[r.Hops[0]] || !f.hostsOwn(r, six) {
			continue
		}
		if peer, ok := f.someoneBehind(r.Dst); ok {
			seen[r.Hops[0]] = true
			out = append(out, peer)
		}
	}
	return out
}

// hostsOwn: a route of the host that has nothing to do with the cloud's subnets.
func (f Facts) hostsOwn(r Route, six bool) bool {
	if r.Type != typeUnicast || r.Protocol == plumb.Protocol || r.Dst.Addr().Is6() != six {
		return false
	}
	direct := !r.Hops[0].Via.IsValid() && slices.ContainsFunc(f.Interfaces, func(c Interface) bool { return c.Index == r.Hops[0].Index })
	return !plumb.Internet(r.Dst) && !r.Dst.Addr().IsLinkLocalUnicast() && !direct
}

// someoneBehind is an address that a route leads to, and that is not the host's.
func (f Facts) someoneBehind(dst netip.Prefix) (netip.Addr, bool) {
	a := dst.Masked().Addr()
	if !dst.IsSingleIP() {
		a = a.Next()
	}
	for range 8 {
		_, own := f.FIB.owner(a)
		if !own {
			return a, dst.Contains(a)
		}
		a = a.Next()
	}
	return a, false
}
