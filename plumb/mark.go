package plumb

import (
	"github.com/vishvananda/netlink/nl"
)

// prefMark is where a mark leads to its interface's table: behind all guards, and before all source rules,
// because an answer may have an address of another interface. The marks keep the interfaces' rules apart.
const prefMark = baseTable + maxN

func (r Rule) markAttrs() (data []nl.NetlinkRequestData) {
	if r.Kind().Marked() && !r.owned() {
		data = append(data, attr32(nl.FRA_FWMARK, r.Mark), attr32(nl.FRA_FWMASK, r.Mask))
	}
	if r.Iif != "" {
		data = append(data, nl.NewRtAttr(nl.FRA_IIFNAME, nl.ZeroTerminated(r.Iif)))
	}
	return data
}

func (r *Rule) parseMark(a attrs) {
	r.Mark, r.Mask = a.u32(nl.FRA_FWMARK), a.u32(nl.FRA_FWMASK)
	if r.owned() {
		r.Owner, r.Mark = r.Mark&^r.Mask, r.Mark&r.Mask
	}
}

func (s *Snapshot) noteMark(mark uint32, n int) {
	if s.Marks == nil {
		s.Marks = map[uint32]int{}
	}
	if was, ok := s.Marks[mark]; !ok || n < was {
		s.Marks[mark] = n
	}
}

// markIDs is how many interfaces of a host can have marks of their own: 1 to 126. With all bits set, the packets of
// systemd-imdsd would have an interface's mark (0x7fff0815, systemd 261 and later) and leave by that interface.
const markIDs = MarkMask>>markShift - 1

const markShift = 24
