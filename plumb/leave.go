package plumb

import (
	"context"
	"errors"
	"slices"
)

// OpenGone prepares to clear up after an interface that is gone. One that has its name, or its index, by now is
// another one, and is not touched. Close frees the socket.
func OpenGone(name string) (*Link, error) {
	l, err := Open(name)
	if err == nil {
		l.Index = -1 // no interface's
	}
	return l, err
}

// Leave takes everything of ours off the interface, and only that, but for what the host itself lives by (see
// Detached). It works after the interface is gone too: then what is left are its rules and its nftables table, found
// by Scope.Numbers, and the interface group of the others. before is how the interface was found; nil when nobody wrote
// that down.
func (l *Link) Leave(ctx context.Context, before *Baseline) (Plan, error) {
	return l.leave(ctx, before, Detached)
}

// Strip is Leave, and takes also away what the host itself lives by.
func (l *Link) Strip(ctx context.Context, before *Baseline) (Plan, error) {
	return l.leave(ctx, before, Bare)
}

func (l *Link) leave(ctx context.Context, before *Baseline, without func(Snapshot, *Baseline) State) (Plan, error) {
	r := l.Reconcile(ctx, func(s Snapshot) (State, error) { return without(s, before), nil }) // which refuses nothing
	if !errors.Is(r.Failed, ErrGone) {
		return r.Done, r.Failed
	}
	more, err := l.leaveGone()
	return append(r.Done, more...), err
}

// leaveGone deletes the rules and the nftables table of an interface that is not there.
func (l *Link) leaveGone() (Plan, error) {
	return l.emptied(func() (Plan, Snapshot, error) {
		have, err := l.Look()
		gone := errors.Is(err, ErrGone)
		if err != nil && !gone {
			return nil, have, err
		}
		have.Name = l.Name
		if err := errors.Join(l.readRules(&have), l.readPackets(&have)); err != nil {
			return nil, have, err
		}
		want := Detached(have, nil)
		if gone {
			want.Link = have.Link // none
		}
		return Diff(have.State, want), have, nil
	})
}

// emptied applies a plan, and makes it anew from what the kernel then says, until it is empty.
func (l *Link) emptied(plan func() (Plan, Snapshot, error)) (done Plan, err error) {
	for range passes {
		p, have, failed := plan()
		if failed != nil || len(p) == 0 {
			return done, failed
		}
		var ops Plan
		ops, err = l.Apply(p, have)
		done = append(done, ops...)
	}
	return done, errors.Join(ErrNotConverged, err)
}

// Orphans deletes the rules and nftables tables of ours whose routing table is empty and whose number
// is none of claimed: what an interface left behind that disappeared while nobody ran.
func Orphans(claimed []int) (Plan, error) {
	rt, err := dial()
	if err != nil {
		return nil, err
	}
	defer rt.close()
	return rt.orphans(claimed)
}

func (s *socket) orphans(claimed []int) (Plan, error) {
	l := Link{rt: s}
	defer l.closePackets()
	return l.emptied(func() (Plan, Snapshot, error) {
		rules, _, err := s.rules()
		if err != nil {
			return nil, Snapshot{}, err
		}
		used, err := s.tables()
		if err != nil {
			return nil, Snapshot{}, err
		}
		var plan Plan
		for _, r := range rules {
			if n, ok := r.n(); ok && !used[Table(n)] && !slices.Contains(claimed, n) {
				plan = append(plan, Op{Del, "", r})
			}
		}
		slices.Reverse(plan) // source rules before their guards
		tables, err := l.orphanTables(used, claimed)
		return append(tables, plan...), Snapshot{}, err
	})
}

// orphanTables are the nftables tables of ours that belong to no interface.
func (l *Link) orphanTables(used map[uint32]bool, claimed []int) (plan Plan, err error) {
	nft, err := l.nft()
	if withoutPackets(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	numbers, err := nft.packetNumbers()
	for _, n := range numbers {
		_, ours, err := nft.packetTable(Table(n))
		if err != nil {
			return nil, err
		}
		if ours && !used[Table(n)] && !slices.Contains(claimed, n) {
			plan = append(plan, Op{Del, "", packetTable{table: Table(n)}})
		}
	}
	return plan, err
}

// tables are the routing tables that hold a route of ours.
func (s *socket) tables() (map[uint32]bool, error) {
	out := map[uint32]bool{}
	return out, s.marked(func(table uint32, _ attrs) { out[table] = true })
}
