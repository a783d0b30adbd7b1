package doctor

import "golang.org/x/sys/unix"

// outcome is what may become of a packet; several bits: it depends on what is not known.
type outcome uint8

const (
	accepts outcome = 1 << iota
	drops
	falls   // goes on with the next rule, or with the chain that led here
	returns // goes on with the chain that led here
	unknown = accepts | drops | falls
)

// fate is what the chain may do with a packet, its policy included.
func (c Chain) fate(p passage) outcome {
	w := chainWalk{table: c.table, packet: p, done: map[string]outcome{}}
	out := w.chain(c.Name)
	if out&falls == 0 {
		return out
	}
	if c.Drops {
		return out&^falls | drops
	}
	return out&^falls | accepts
}

// chainWalk tries the rules of one table with one packet. Nothing that a rule does changes what later ones know of the
// packet, so that a chain does the same wherever it is jumped to from, and is walked once.
type chainWalk struct {
	table  chainTable
	packet passage
	done   map[string]outcome // by chain
	walked int                // chains
}

// chain is what may become of a packet that gets to a chain that is not a base chain, or to a base chain before its policy.
// The kernel refuses jumps that lead in a circle (nft_chain_validate of linux/net/netfilter/nf_tables_api.c); rules that were
// read while they changed may show one, of which nothing is known.
func (w *chainWalk) chain(name string) outcome {
	if out, ok := w.done[name]; ok {
		return out
	}
	w.done[name] = unknown
	w.walked++
	out := w.walk(w.table.rules[name])
	w.done[name] = out
	return out
}

// walk goes through rules in their order. One that may apply or not adds what it does, and the next one counts as well; the first
// that surely applies, and does not fall through, is the last.
func (w *chainWalk) walk(rules []chainRule) (out outcome) {
	for _, r := range rules {
		does, sure := w.apply(r)
		out |= does & (accepts | drops)
		if does&returns != 0 {
			out |= falls
		}
		if sure && does&falls == 0 {
			return out
		}
	}
	return out | falls
}

// verdict is what becomes of a packet by the verdict in some data (NFTA_DATA_VERDICT), of a rule or of an element of a map.
func (w *chainWalk) verdict(data attrs) outcome {
	v, err := parse(data[unix.NFTA_DATA_VERDICT], 0)
	if err != nil {
		return unknown
	}
	switch int32(v.be32(unix.NFTA_VERDICT_CODE, 1<<16)) {
	case unix.NFT_CONTINUE:
		return falls
	case unix.NFT_RETURN:
		return returns
	case unix.NFT_JUMP:
		return w.chain(v.text(unix.NFTA_VERDICT_CHAIN))
	case unix.NFT_GOTO:
		out := w.chain(v.text(unix.NFTA_VERDICT_CHAIN))
		if out&falls != 0 {
			out = out&^falls | returns
		}
		return out
	case 0: // NF_DROP
		return drops
	case 1: // NF_ACCEPT
		return accepts
	}
	return unknown
}
