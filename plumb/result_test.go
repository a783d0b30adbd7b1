package plumb

import (
	"context"
	"errors"
	"testing"
)

// TestResultTellsThemApart: what was left out, and what went wrong.
func TestResultTellsThemApart(t *testing.T) {
	host(t)
	refusal := errors.New("left out")
	refusing := func(more ...Route) func(Snapshot) (State, error) {
		return func(s Snapshot) (State, error) {
			state, _ := wanting(eth1())(s)
			state.Routes = append(state.Routes, more...)
			return state, refusal
		}
	}
	impossible := foreign("203.0.113.0/24", "192.0.2.1", func(r *Route) { r.Ours = true })
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name            string
		iface           string
		ctx             context.Context
		want            func(Snapshot) (State, error)
		refused, failed error
		done            bool
	}{
		{"the context ended", "eth1", cancelled, refusing(), nil, context.Canceled, false},
		{"left out", "eth1", t.Context(), refusing(), refusal, nil, true},
		{"left out, and all is there", "eth1", t.Context(), refusing(), refusal, nil, false},
		{"left out, and refused by the kernel", "eth1", t.Context(), refusing(impossible), refusal, ErrNotConverged, false},
		{"all is well", "eth1", t.Context(), wanting(eth1()), nil, nil, false},
		{"gone", "eth7", t.Context(), refusing(), nil, ErrGone, false},
	} {
		r := open(t, tt.iface).Reconcile(tt.ctx, tt.want)
		if !errors.Is(r.Refused, tt.refused) || !errors.Is(r.Failed, tt.failed) || len(r.Done) > 0 != tt.done {
			t.Errorf("%s: refused %v, failed %v, done %v", tt.name, r.Refused, r.Failed, r.Done)
		}
		for _, part := range []error{tt.refused, tt.failed} {
			if err := r.Err(); part != nil && !errors.Is(err, part) {
				t.Errorf("%s: in all %v, without %v", tt.name, err, part)
			}
		}
	}
}
