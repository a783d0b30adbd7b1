package plumb

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func (l *Link) readRules(s *Snapshot) (err error) {
	if err = l.own(s); err != nil {
		return err
	}
	rules, others, err := l.rt.rules()
	if err != nil {
		return err
	}
	s.Claimed = claimedBy(others)
	for _, r := range rules {
		switch n, ok := r.n(); {
		case ok && s.mine[n]:
			s.Rules = append(s.Rules, r)
		case ok && r.Kind().shared():
			s.Leaving = append(s.Leaving, r)
		case ok && r.Kind().Marked():
			s.noteMark(r.Mark, n)
		case ok && r.Kind() == RuleGuard:
			s.OthersManaged = s.OthersManaged || n != 0 // another interface's guard asks for the group; the primary's is there because of others
		case ok:
			s.Taken = append(s.Taken, r.From)
		}
	}
	return nil
}

// rules lists the rules of both families that carry our mark, and those that others may claim interfaces by.
func (s *socket) rules() (out []Rule, others []foreignRule, err error) {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		ours, foreign, err := s.inParts(family)
		if err != nil {
			return nil, nil, fmt.Errorf("list rules: %w", err)
		}
		out, others = append(out, ours...), append(others, foreign...)
	}
	return out, others, nil
}

// onePart is the least that the kernel puts into one part of an answer (NLMSG_GOODSIZE is a page, less
// what the buffer's own head takes).
const onePart = 3500 // bytes

// A list in several parts is asked for until some more bring nothing new: fewer where nobody seems to change it.
const calmLists, churnedLists = 3, 8

// inParts lists the rules of a family. The kernel finds the next part of a list by counting, so that the list lacks
// some rules, or has them twice, when others add or delete rules meanwhile; and of rules, unlike addresses, it does
// not say so. Each list may lack a rule, with the same chance; that all of them lack it is left to chance.
func (s *socket) inParts(family int) (ours []Rule, others []foreignRule, err error) {
	msg := &nl.RtMsg{}
	msg.Family = uint8(family)
	l := ruleList{messages: map[string]bool{}, rules: map[Rule]bool{}}
	need, last := calmLists, -1
	for old := 0; old < need; old++ {
		msgs, err := s.dump(unix.RTM_GETRULE, unix.RTM_NEWRULE, msg)
		if err != nil {
			return nil, nil, err
		}
		before, known := len(l.ours), len(l.messages)
		size := 0
		for _, m := range msgs {
			size += unix.NLMSG_HDRLEN + len(m)
			if err := l.add(m); err != nil {
				return nil, nil, err
			}
		}
		if len(l.ours) > before {
			old = 0
		}
		if last >= 0 && (len(msgs) != last || len(l.messages) > known) {
			need = churnedLists
		}
		last = len(msgs)
		if size < onePart {
			break
		}
	}
	return l.ours, l.others, nil
}

// ruleList grows by what is new. A message that was there before is not taken apart again: of a host with
// many interfaces that would be most of the cost of a look.
type ruleList struct {
	ours     []Rule
	others   []foreignRule
	messages map[string]bool
	rules    map[Rule]bool
}

func (l *ruleList) add(m []byte) error {
	if l.messages[string(m)] {
		return nil
	}
	l.messages[string(m)] = true
	r, ok, err := parseRule(m)
	if err != nil {
		return err
	}
	switch {
	case ok && !l.rules[r]:
		l.rules[r], l.ours = true, append(l.ours, r)
	case !ok:
		if f, foreign := parseForeign(m); foreign {
			l.others = append(l.others, f)
		}
	}
	return nil
}

// parseRule reads a rule of ours (struct fib_rule_hdr, FRA_* of linux/fib_rules.h). ok is false for another program's, and for
// one of an interface's addresses that names no source.
func parseRule(m []byte) (r Rule, ok bool, err error) {
	a, err := parseAttrs(m, unix.SizeofRtMsg)
	if err != nil {
		return r, false, err
	}
	if p := a[nl.FRA_PROTOCOL]; len(p) == 0 || p[0] != Protocol {
		return r, false, nil
	}
	h := nl.DeserializeRtMsg(m)
	r = Rule{
		Pref:    a.u32(nl.FRA_PRIORITY),
		From:    netip.PrefixFrom(a.addr(nl.FRA_SRC), int(h.Src_len)),
		Table:   a.u32or(nl.FRA_TABLE, uint32(h.Table)),
		NoGroup: a.u32or(nl.FRA_SUPPRESS_IFGROUP, ^uint32(0)) == Group,
		Iif:     text(a[nl.FRA_IIFNAME]),

		MinBits: a.u32or(nl.FRA_SUPPRESS_PREFIXLEN, ^uint32(0)) + 1,
	}
	if r.Kind().shared() {
		r.parseShared(h, a)
	} else {
		r.parseMark(a)
	}
	if !r.From.IsValid() && (r.Kind().shared() || r.Kind().Marked()) {
		r.From = everywhere(h.Family == unix.AF_INET6)
	}
	return r, r.From.IsValid(), nil
}

func (r *Rule) parseShared(h *nl.RtMsg, a attrs) {
	if to := a.addr(nl.FRA_DST); to.IsValid() {
		r.To = netip.PrefixFrom(to, int(h.Dst_len))
	}
	r.Refuse = h.Type == unix.RTN_UNREACHABLE && h.Table == 0
	if r.owned() {
		r.Owner = a.u32(nl.FRA_FWMARK)
	}
}
