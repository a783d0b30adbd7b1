package plumb

import "slices"

// packet has the card's nftables table do r, unless the name is another program's: then it says so, and
// returns false.
func (w *want) packet(r PacketRule) bool {
	r.Table, r.Dev = Table(w.n()), w.in.Have.Index
	if slices.Contains(w.in.Have.TakenTables, r.Table) {
		w.refuse("table inet %s: %w (\"nft delete table inet %[1]s\" makes room)", packetTable{table: r.Table}.name(), ErrTaken)
		return false
	}
	w.out.Packets = append(w.out.Packets, r)
	return true
}
