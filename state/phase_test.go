package state

import "testing"

// The bits that scripts and metrics read follow from the phase.
func TestEnter(t *testing.T) {
	t.Parallel()
	for phase, want := range map[Phase][3]bool{ // ready, set, in_part
		Unmanaged: {false, true, false}, LeftTo: {false, true, false}, LinkOnly: {false, true, false},
		Ambiguous: {}, RolledBack: {}, Waiting: {}, Settling: {true, false, false},
		LeaseOnly: {true, true, true}, Partial: {true, true, true}, Ready: {true, true, false},
	} {
		r := Record{Ready: !want[0], Set: !want[1], InPart: !want[2]}
		if r.Enter(phase); [3]bool{r.Ready, r.Set, r.InPart} != want || r.Phase != phase || !phase.Known() {
			t.Errorf("%s: %+v", phase, r)
		}
	}
	if Phase("").Known() || Phase("made up").Known() {
		t.Error("what is no phase is known")
	}
}
