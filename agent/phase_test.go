package agent

import (
	"testing"

	"ec2net/config"
	"ec2net/state"
)

// Each fact has its rank: what is said first hides what is said below it.
func TestPhase(t *testing.T) {
	t.Parallel()
	whole := phaseFacts{manage: config.Full, converged: true}
	with := func(change func(*phaseFacts)) phaseFacts {
		f := whole
		change(&f)
		return f
	}
	for _, tt := range []struct {
		name  string
		facts phaseFacts
		want  state.Phase
	}{
		{"nothing yet", phaseFacts{manage: config.Full}, state.Waiting},
		{"all there", whole, state.Ready},
		{"a part could not be set up", with(func(f *phaseFacts) { f.problems = true }), state.Partial},
		{"no lease yet", with(func(f *phaseFacts) { f.expects = expectLease }), state.Settling},
		{"an address in its detection", with(func(f *phaseFacts) { f.expects = expectAnswer }), state.Settling},
		{"an address in doubt", with(func(f *phaseFacts) { f.expects = expectMetadata }), state.Settling},
		{"egress undecided", with(func(f *phaseFacts) { f.expects = expectEgress }), state.Settling},
		{"a part missing, and an address in doubt", with(func(f *phaseFacts) { f.expects, f.problems = expectMetadata, true }), state.Settling},
		{"by its lease", with(func(f *phaseFacts) { f.leaseOnly = true }), state.LeaseOnly},
		{"by its lease, the metadata awaited", with(func(f *phaseFacts) { f.leaseOnly, f.expects = true, expectMetadata }), state.LeaseOnly},
		{"by its lease, not there yet", phaseFacts{manage: config.Full, leaseOnly: true}, state.Waiting},
		{"before a change", with(func(f *phaseFacts) { f.writing = true }), state.Settling},
		{"before a change of what the lease says", with(func(f *phaseFacts) { f.leaseOnly, f.writing = true, true }), state.Settling},
		{"before the first change", phaseFacts{manage: config.Full, writing: true}, state.Waiting},
		{"rolled back", with(func(f *phaseFacts) { f.rolledBack, f.converged = true, false }), state.RolledBack},
		{"rolled back, and the link alone is configured", phaseFacts{manage: config.LinkUp, linkDone: true, rolledBack: true}, state.RolledBack},
		{"perhaps a virtual function", phaseFacts{manage: config.Full, ambiguous: true}, state.Ambiguous},
		{"another program's", with(func(f *phaseFacts) { f.ownedByOther = true }), state.LeftTo},
		{"another program's, rolled back before", with(func(f *phaseFacts) { f.ownedByOther, f.rolledBack = true, true }), state.LeftTo},
		{"not managed", phaseFacts{manage: config.None}, state.Unmanaged},
		{"not managed, set up before", phaseFacts{manage: config.None, converged: true}, state.Unmanaged},
		{"link up", phaseFacts{manage: config.LinkUp, linkDone: true}, state.LinkOnly},
		{"link up, and known to the metadata", phaseFacts{manage: config.LinkUp, linkDone: true, converged: true}, state.LinkOnly},
		{"link not up yet", phaseFacts{manage: config.LinkUp, converged: true}, state.Waiting},
	} {
		if got := tt.facts.phase(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
