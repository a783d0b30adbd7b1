package plumb

import (
	"slices"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A host of 15 interfaces with 50 addresses has 1500 rules, which are listed three times at each look.
func TestKnownRulesCostNothing(t *testing.T) {
	message := func(pref uint32, last byte) []byte {
		h := &nl.RtMsg{}
		h.Family, h.Src_len, h.Type = unix.AF_INET, 32, unix.RTN_UNICAST
		return slices.Concat(h.Serialize(), nl.NewRtAttr(nl.FRA_PROTOCOL, nl.Uint8Attr(Protocol)).Serialize(), attr32(nl.FRA_PRIORITY, pref).Serialize(),
			attr32(nl.FRA_TABLE, Table(1)).Serialize(), nl.NewRtAttr(nl.FRA_SRC, []byte{10, 0, 2, last}).Serialize())
	}
	l := ruleList{messages: map[string]bool{}, rules: map[Rule]bool{}}
	list := [][]byte{message(20001, 37), message(20001, 40), message(10001, 37)}
	again := func() {
		for _, m := range list {
			if err := l.add(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	again()
	if n := testing.AllocsPerRun(10, again); n != 0 || len(l.ours) != 3 {
		t.Errorf("%v allocations to see that nothing is new, and %d rules", n, len(l.ours))
	}
	if err := l.add(list[0][:6]); err == nil || len(l.ours) != 3 {
		t.Errorf("a message of 6 bytes: %v", err)
	}
}
