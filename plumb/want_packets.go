package plumb

import (
	"net/netip"
	"slices"
)

// packet has the interface's nftables table do r, unless the name is another program's, or the kernel
// can not: then it says so, and returns false.
func (w *want) packet(r PacketRule) bool {
	r.Table, r.Dev = Table(w.n()), w.in.Have.Index
	name := packetTable{table: r.Table}.name()
	switch {
	case w.in.Have.unable:
		w.refuse("table inet %s: %w", name, ErrNoPackets)
		return false
	case slices.Contains(w.in.Have.TakenTables, r.Table):
		w.refuse("table inet %s: %w (to remove it: nft delete table inet %[1]s)", name, ErrTaken)
		return false
	}
	w.out.Packets = append(w.out.Packets, r)
	return true
}

// replies has the interface answer what came in by it and was passed on to a container (DNAT). The answer has
// the container's address when the kernel looks for its way, so that no source rule knows it: the
// connection's mark does. With the mark, too, strict rp_filter looks for the way back of the question,
// whose destination is the container's by then.
//
// Three rules in each family that the interface has. What came in by the interface goes where main says, to a bridge or
// to another interface; what else has the mark stays with the host's bridges and tunnels; the rest, which are
// the answers, leaves by the interface.
func (w *want) replies() {
	families := w.answering()
	if !w.in.ByInterface || len(families) == 0 {
		w.unmarked()
		return
	}
	mark, ok := w.mark()
	if !ok || !w.packet(PacketRule{Kind: ReplyByInterface, Mark: mark, Was: w.in.Baseline.validMark(w.in.Have.State)}) {
		w.unmarked()
		return
	}
	for _, all := range families {
		r := Rule{From: all, Mark: mark, Mask: MarkMask}
		source, in := r, r
		source.Pref, source.Table = prefMark, Table(w.n())
		in.Pref, in.Table = uint32(baseTable+w.n()), tableMain
		in.MinBits = network
		guard := in
		in.Iif, guard.NoGroup = w.out.Name, true
		w.out.Rules = append(w.out.Rules, in, guard, source)
	}
	w.out.Link.SrcValidMark = true
}

// answering are the families in which the interface has a table of its own to answer by.
func (w *want) answering() (out []netip.Prefix) {
	for _, r := range w.out.Rules {
		all := everywhere(r.From.Addr().Is6())
		if kind := r.Kind(); (kind == RuleSource || kind == RuleMarkReply) && r.Table == Table(w.n()) && !slices.Contains(out, all) {
			out = append(out, all)
		}
	}
	return out
}

// unmarked gives the interface's src_valid_mark back, if it was set for marks.
func (w *want) unmarked() {
	if marks(w.in.Have.State) {
		w.out.Link.SrcValidMark = w.in.Baseline.validMark(w.in.Have.State)
	}
}

// mark is the interface's mark, by its number. Of two interfaces with the same one, that with the higher number
// takes the next that is free.
func (w *want) mark() (uint32, bool) {
	for i := range markIDs {
		m := uint32(1+(w.n()+i)%markIDs) << markShift
		if n, taken := w.in.Have.Marks[m]; !taken || n > w.n() {
			return m, true
		}
	}
	w.refuse("replies by interface: other interfaces use all %d marks", markIDs)
	return 0, false
}
