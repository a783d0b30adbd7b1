package doctor

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"ec2net/plumb"
)

// chainTable is what a table of nftables holds that decides about packets: the rules of its chains, and the sets and maps
// that they look something up in, by their names.
type chainTable struct {
	rules map[string][]chainRule
	sets  map[string]chainSet
}

// Of linux/netfilter/nf_tables.h, and missing from the library.
const (
	setDescConcat   = 2  // NFTA_SET_DESC_CONCAT
	setFieldLen     = 1  // NFTA_SET_FIELD_LEN
	setElemKeyEnd   = 10 // NFTA_SET_ELEM_KEY_END
	setElemExprs    = 11 // NFTA_SET_ELEM_EXPRESSIONS
	setElemCatchAll = 2  // NFT_SET_ELEM_CATCHALL
)

// readTable reads the rules of a table, and of its sets those that they look something up in.
func readTable(family, name string) (t chainTable, err error) {
	if t.rules, err = readRules(family, name); err != nil {
		return t, err
	}
	t.sets, err = readSets(family, name, t.lookedUp())
	return t, err
}

// dumpTable lists one kind of a table's objects; one of a table that is gone by now has none.
func dumpTable(get, answer uint16, family string, data ...*nl.RtAttr) ([][]byte, error) {
	msgs, err := plumb.Whole(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|int(get), unix.NLM_F_DUMP)
		req.AddData(&nl.Nfgenmsg{NfgenFamily: familyNumber(family)})
		for _, a := range data {
			req.AddData(a)
		}
		return req.Execute(unix.NETLINK_NETFILTER, unix.NFNL_SUBSYS_NFTABLES<<8|answer)
	})
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return msgs, err
}

// readRules lists the rules of a table, by their chains.
func readRules(family, table string) (map[string][]chainRule, error) {
	msgs, err := dumpTable(unix.NFT_MSG_GETRULE, unix.NFT_MSG_NEWRULE, family, nl.NewRtAttr(unix.NFTA_RULE_TABLE, nl.ZeroTerminated(table)))
	if err != nil {
		return nil, fmt.Errorf("list the rules of table %s %s: %w", family, table, err)
	}
	out := map[string][]chainRule{}
	for _, m := range msgs {
		a, err := parse(m, nl.SizeofNfgenmsg)
		if err != nil {
			return nil, err
		}
		if a.text(unix.NFTA_RULE_TABLE) != table { // a kernel that lists all
			continue
		}
		r, err := parseExpressions(a[unix.NFTA_RULE_EXPRESSIONS])
		if err != nil {
			return nil, err
		}
		name := a.text(unix.NFTA_RULE_CHAIN)
		out[name] = append(out[name], r)
	}
	return out, nil
}

// parseExpressions reads a list of expressions (NFTA_LIST_ELEM), as a rule and an element of a set have one.
func parseExpressions(list []byte) (out chainRule, err error) {
	var errs []error
	err = plumb.EachAttr(list, func(_ uint16, value []byte) {
		e, err := parse(value, 0)
		data, nested := parse(e[unix.NFTA_EXPR_DATA], 0)
		errs = append(errs, err, nested)
		out = append(out, expression{e.text(unix.NFTA_EXPR_NAME), data})
	})
	return out, errors.Join(append(errs, err)...)
}

// lookedUp are the names of the sets and maps that the rules ask.
func (t chainTable) lookedUp() map[string]bool {
	out := map[string]bool{}
	for _, rules := range t.rules {
		for _, r := range rules {
			for _, e := range r {
				if e.name == "lookup" {
					out[e.data.text(unix.NFTA_LOOKUP_SET)] = true
				}
			}
		}
	}
	return out
}

// readSets reads those sets and maps of a table that are wanted, with their elements.
func readSets(family, table string, wanted map[string]bool) (map[string]chainSet, error) {
	out := map[string]chainSet{}
	if len(wanted) == 0 {
		return out, nil
	}
	msgs, err := dumpTable(unix.NFT_MSG_GETSET, unix.NFT_MSG_NEWSET, family, nl.NewRtAttr(unix.NFTA_SET_TABLE, nl.ZeroTerminated(table)))
	if err != nil {
		return nil, fmt.Errorf("list the sets of table %s %s: %w", family, table, err)
	}
	for _, m := range msgs {
		a, err := parse(m, nl.SizeofNfgenmsg)
		if err != nil {
			return nil, err
		}
		name := a.text(unix.NFTA_SET_NAME)
		if a.text(unix.NFTA_SET_TABLE) != table || !wanted[name] {
			continue
		}
		if out[name], err = readSet(family, a); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readSet reads the elements of a set (NFT_MSG_GETSETELEM), whose description is known. A set that is gone by now is empty.
func readSet(family string, set attrs) (chainSet, error) {
	table, name := set.text(unix.NFTA_SET_TABLE), set.text(unix.NFTA_SET_NAME)
	msgs, err := dumpTable(unix.NFT_MSG_GETSETELEM, unix.NFT_MSG_NEWSETELEM, family,
		nl.NewRtAttr(unix.NFTA_SET_ELEM_LIST_TABLE, nl.ZeroTerminated(table)), nl.NewRtAttr(unix.NFTA_SET_ELEM_LIST_SET, nl.ZeroTerminated(name)))
	if err != nil {
		return chainSet{}, fmt.Errorf("list the elements of the set %s %s %s: %w", family, table, name, err)
	}
	var elems []attrs
	for _, m := range msgs {
		a, err := parse(m, nl.SizeofNfgenmsg)
		if err != nil {
			return chainSet{}, err
		}
		list, err := parseList(a[unix.NFTA_SET_ELEM_LIST_ELEMENTS])
		if err != nil {
			return chainSet{}, err
		}
		elems = append(elems, list...)
	}
	return parseSet(set, elems)
}

// parseList takes a list of nested attributes apart.
func parseList(list []byte) (out []attrs, err error) {
	var errs []error
	err = plumb.EachAttr(list, func(_ uint16, value []byte) {
		a, err := parse(value, 0)
		errs = append(errs, err)
		out = append(out, a)
	})
	return out, errors.Join(append(errs, err)...)
}

// parseSet makes a set of its description (NFTA_SET_*) and its elements (NFTA_SET_ELEM_*).
func parseSet(set attrs, elems []attrs) (s chainSet, err error) {
	s.length = int(min(registerBytes, set.be(unix.NFTA_SET_KEY_LEN)))
	if s.fields, err = parseFields(set[unix.NFTA_SET_DESC], s.length); err != nil {
		return s, err
	}
	ends := map[int]bool{} // elements that end an interval
	for _, a := range elems {
		e, flags, err := parseElement(a)
		switch {
		case err != nil:
			return s, err
		case flags&setElemCatchAll != 0:
			s.rest = &e
			continue
		case len(e.from) != s.length || len(e.to) != s.length:
			return chainSet{unread: true}, nil
		}
		ends[len(s.elems)] = flags&unix.NFT_SET_ELEM_INTERVAL_END != 0
		s.elems = append(s.elems, e)
	}
	if set.be(unix.NFTA_SET_FLAGS)&unix.NFT_SET_INTERVAL != 0 && len(s.fields) == 1 {
		s.elems = intervals(s.elems, ends)
		return s, nil
	}
	slices.SortFunc(s.elems, func(a, b setElement) int { return bytes.Compare(a.from, b.from) })
	return s, nil
}

// parseFields are the lengths of the parts of a key. A kernel before 5.6 does not know them: one part.
func parseFields(desc []byte, length int) (out []int, err error) {
	a, err := parse(desc, 0)
	if err != nil {
		return nil, err
	}
	list, err := parseList(a[setDescConcat])
	sum := 0
	for _, f := range list {
		out = append(out, int(f.be(setFieldLen)))
		sum += aligned(out[len(out)-1])
	}
	if sum != length {
		out = []int{length}
	}
	return out, err
}

// parseElement reads one element (NFTA_SET_ELEM_*): its key, the end of its range in a set of several parts, what a map has for it.
// flags are NFT_SET_ELEM_*.
func parseElement(a attrs) (e setElement, flags uint32, err error) {
	e.from = dataOf(a[unix.NFTA_SET_ELEM_KEY])
	if e.to = dataOf(a[setElemKeyEnd]); e.to == nil {
		e.to = e.from
	}
	if e.data, err = parse(a[unix.NFTA_SET_ELEM_DATA], 0); err != nil {
		return e, 0, err
	}
	one, err := parse(a[unix.NFTA_SET_ELEM_EXPR], 0)
	if err != nil {
		return e, 0, err
	}
	more, err := parseExpressions(a[setElemExprs])
	for _, x := range append(more, expression{name: one.text(unix.NFTA_EXPR_NAME)}) {
		e.depends = e.depends || !slices.Contains([]string{"", "counter", "last"}, x.name)
	}
	return e, a.be(unix.NFTA_SET_ELEM_FLAGS), err
}

// intervals makes elements of the points where intervals begin and end (nft_set_rbtree.c): each lasts until the next
// point. The end of one comes before the beginning of another with the same key.
func intervals(points []setElement, ends map[int]bool) (out []setElement) {
	order := make([]int, len(points))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if c := bytes.Compare(points[a].from, points[b].from); c != 0 || ends[a] == ends[b] {
			return c
		}
		if ends[a] {
			return -1
		}
		return 1
	})
	for k, i := range order {
		if ends[i] {
			continue
		}
		e := points[i]
		e.to = bytes.Repeat([]byte{0xff}, len(e.from))
		if k+1 < len(order) {
			e.to = predecessor(points[order[k+1]].from)
		}
		out = append(out, e)
	}
	return out
}
