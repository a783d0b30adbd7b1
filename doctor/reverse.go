package doctor

import (
	"fmt"
	"slices"
)

// Check is the reverse path check of a packet that comes in (fib_validate_source of Linux; RFC 3704).
type Check struct {
	Mode  int    `json:"rp_filter"` // in effect: 0 off, 1 strict, 2 loose
	Drops bool   `json:"drops"`
	Why   string `json:"why"`
	Back  []Step `json:"rules"` // that the kernel walks to find the way back
}

// checkSource judges a packet that comes in by p.In. out is the device that it is forwarded to; 0: it is the
// host's own.
func checkSource(f FIB, p Packet, out int) Check {
	if p.Dst.Is6() {
		return Check{Why: "the kernel has no such check for IPv6"}
	}
	in := f.link(p.In)
	if in.Loopback {
		return Check{Why: "the loopback device is not checked"}
	}
	back := Packet{Src: p.Dst, Dst: p.Src, In: out, TOS: p.TOS, VRF: p.VRF}
	if in.Conf.SrcValidMark {
		back.Mark = p.Mark
	}
	c := Check{Mode: in.Conf.RPFilter}
	path := Walk(f, back)
	c.Back = path.Steps
	c.Drops, c.Why = f.verdict(in, path)
	return c
}

// verdict judges the way back to the sender, as rp_filter says (Documentation/networking/ip-sysctl.rst): 1, strict, wants it to
// lead by the device that the packet came in by; 2, loose, is content with any, where that device has an IPv4 address; 0 does
// not ask. A source that no host can have is refused by all of them (RFC 1812 section 5.3.7).
func (f FIB) verdict(in Link, back Path) (drops bool, why string) {
	mode := in.Conf.RPFilter
	switch {
	case back.End == Local && in.Conf.AcceptLocal:
		return false, "the source is the host's own, and accept_local is on"
	case back.End == Local:
		return true, "the source is the host's own address: a martian packet, dropped whatever rp_filter says"
	case back.End == Other:
		return true, "the source is not the address of a single host: a martian packet"
	case back.End != Forward && mode == 0:
		return false, fmt.Sprintf("there is no way back (%s), but rp_filter is off", back.End)
	case back.End != Forward:
		return true, fmt.Sprintf("there is no way back: %s", back.End)
	case slices.Contains(back.by(), in.Index), in.Master != 0 && slices.Contains(back.by(), in.Master):
		return false, fmt.Sprintf("the way back leads by %s as well", in.Name)
	}
	by := f.name(back.by()[0])
	switch {
	case mode == 1:
		return true, fmt.Sprintf("the way back leads by %s, not by %s", by, in.Name)
	case mode != 0 && !f.hasIPv4(in.Index):
		return true, fmt.Sprintf("the way back leads by %s, and %s has no IPv4 address", by, in.Name)
	}
	return false, fmt.Sprintf("the way back leads by %s, which rp_filter allows", by)
}

// hasIPv4 goes by the routes that the kernel makes for a device's own addresses.
func (f FIB) hasIPv4(index int) bool {
	return slices.ContainsFunc(f.Routes, func(r Route) bool {
		return r.localOf(index) && r.Dst.Addr().Is4()
	})
}

// modeText says which setting of rp_filter is in effect, and whence.
func (c Conf) modeText(iface string) string {
	names := map[int]string{0: "off", 1: "strict", 2: "loose"}
	return fmt.Sprintf("rp_filter %d, %s (all %d, %s %d)", c.RPFilter, names[c.RPFilter], c.RPFilterAll, iface, c.RPFilterOwn)
}
