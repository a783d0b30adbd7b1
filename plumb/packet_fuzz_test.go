package plumb

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzPackets: whatever stands in a table of our name, reading it does no harm, and what passes for ours is,
// to the last attribute, what we would write.
func FuzzPackets(f *testing.F) {
	batch, err := packetTable{table: 10001, rules: everyKind(3)}.write()
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range batch {
		f.Add(m.Serialize()[unix.NLMSG_HDRLEN:])
	}
	f.Add([]byte{})
	f.Add([]byte{unix.NFPROTO_INET, 0, 0, 0, 6, 0, 7, 0, 0, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		l := identity{numbers: []int{1}}
		k := &Link{}
		k.identity.Store(&l)
		k.packetsConcern(syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: uint16(nftType(unix.NFT_MSG_NEWRULE))}, Data: b})
		a, err := parseAttrs(b, min(len(b), 4))
		if err != nil {
			return
		}
		r := parsePacketComment(10001, comment(a[unix.NFTA_RULE_USERDATA]))
		for _, c := range (packetTable{table: 10001, rules: []PacketRule{r}}).chains("eth1") {
			if c.like(a, []attrs{a}) && r.isAltered() {
				t.Errorf("%x passes for %v", b, r)
			}
			for _, line := range c.lines {
				exprs, err := line.marshal()
				if err != nil {
					t.Error(err)
				}
				sameExprs(exprs, a[unix.NFTA_RULE_EXPRESSIONS])
			}
		}
	})
}
