package plumb

import (
	"net/netip"

	"ec2net/metadata"
)

// Snapshot is what the kernel holds for one card: our objects and, in the same lists but without
// Ours, everybody else's that Want and Diff have to know of.
type Snapshot struct {
	State
	MAC           metadata.MAC
	Carrier       bool   // the link has a signal
	MaxMTU        int    // bytes; 0: the driver names none
	Kind          string // rtnetlink kind ("bridge", "vlan", …); empty for hardware
	Master        int    // ifindex of the card that this one is enslaved to; 0: none
	Loopback      bool
	NoIPv6        bool // IPv6 is switched off on the card (disable_ipv6)
	OthersManaged bool // another card of this host is in our interface group

	promote bool // the card's promote_secondaries
}

func (s Snapshot) hasAddr(a netip.Addr) bool {
	for _, h := range s.Addrs {
		if h.Prefix.Addr() == a {
			return true
		}
	}
	return false
}

// Numbers are the card numbers (see metadata.Interface.N) that our routes through the card belong
// to: where a process that starts finds what an earlier one left.
func (s Snapshot) Numbers() []int {
	var out []int
	seen := map[int]bool{}
	for _, r := range s.Routes {
		n := int(r.Table) - baseTable
		if r.Table == tableMain {
			n = int(r.Metric) - baseTable
		}
		if r.Ours && n >= 0 && n <= maxN && !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out
}

// Granted is what the kernel still holds of an earlier reading of the metadata: the last known good
// after a restart. It is meant as the first argument of metadata.Settle.
func (s Snapshot) Granted() metadata.Interface {
	var g metadata.Interface
	for _, r := range s.Rules {
		n, ok := r.n()
		if !ok || r.Guard {
			continue
		}
		g.MAC, g.NetworkCard, g.DeviceNumber = s.MAC, n/100, n%100
		four := r.From.Addr().Is4()
		switch {
		case r.From.IsSingleIP() && four:
			grant(&g.Addrs4, r.From.Addr())
		case r.From.IsSingleIP():
			grant(&g.Addrs6, r.From.Addr())
		case four:
			grant(&g.Prefixes4, r.From)
		default:
			grant(&g.Prefixes6, r.From)
		}
	}
	for _, r := range s.Routes {
		if !r.Ours || r.Table == tableMain || r.Via.IsValid() || !r.Src.IsValid() || !r.Dst.Contains(r.Src) {
			continue
		}
		if r.Dst.Addr().Is4() {
			grant(&g.Subnets4, r.Dst)
		} else {
			grant(&g.Subnets6, r.Dst)
		}
	}
	return g
}

func grant[T any](a *metadata.Answer[[]T], v T) {
	a.Status = metadata.Present
	a.Value = append(a.Value, v)
}
