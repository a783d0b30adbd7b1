package agent

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sirupsen/logrus"

	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// What was granted is all that the record and the kernel's addresses say: a rule that is missing takes nothing away.
// Of another interface that has the name now, neither record nor rules say anything.
func TestLastGood(t *testing.T) {
	r := aRecord()
	r.Interface.Addrs4 = metadata.Is([]netip.Addr{addr("10.0.2.37"), addr("10.0.2.40")})
	r.Interface.Addrs6, r.Interface.Prefixes6 = metadata.None[[]netip.Addr](), metadata.Is([]netip.Prefix{netip.MustParsePrefix("2001:db8::/80")})
	a := &Agent{NIC: NIC{record: r, log: logrus.New()}}
	s := plumb.Snapshot{State: plumb.State{Name: "eth1", Rules: []plumb.Rule{
		{Pref: 20001, From: netip.MustParsePrefix("10.0.2.40/32"), Table: 10001},
	}, Addrs: []plumb.Addr{{Prefix: netip.MustParsePrefix("10.0.2.60/32"), Ours: true}}}, MAC: r.MAC}
	got := a.lastGood(s)
	if want := []netip.Addr{addr("10.0.2.37"), addr("10.0.2.40"), addr("10.0.2.60")}; !slices.Equal(got.Addrs4.Value, want) {
		t.Errorf("granted %v, want %v", got.Addrs4, want)
	}
	if got.Addrs6.Status != metadata.Absent || got.Prefixes6.Status != metadata.Present || got.ID != "eni-0a1" {
		t.Errorf("the record is forgotten: %+v", got)
	}
	s.Addrs = nil
	if s.MAC[5]++; a.lastGood(s).MAC != (metadata.MAC{}) {
		t.Errorf("another interface is granted %+v", a.lastGood(s))
	}
}

// The record of an interface that was renamed: the new one is there before the old one goes, and what another
// interface has under the old name by now stays.
func TestSavedUnderANewName(t *testing.T) {
	old := aRecord()
	another := old
	another.MAC[5]++
	for _, tt := range []struct {
		name   string
		at     state.Record // under the old name
		blocks bool         // the new one can not be written
		stays  bool
	}{
		{"its own", old, false, false}, {"its own, and the new one fails", old, true, true}, {"another interface's", another, false, true},
	} {
		s := stored(t)
		must(t, s.Save(tt.at))
		if tt.blocks {
			must(t, os.Mkdir(filepath.Join(s.Dir(), "ens6.json"), 0o700))
		}
		a := &Agent{NIC: NIC{record: old, store: s, log: logrus.New(), link: &plumb.Link{}, oldNames: []string{"eth1", "ens6"}}}
		a.record.Name = "ens6"
		if err := a.writeRecord(); (err != nil) != tt.blocks {
			t.Errorf("%s: %v", tt.name, err)
		}
		if _, there := s.Load("eth1"); there != tt.stays {
			t.Errorf("%s: the record of the old name is there: %v", tt.name, there)
		}
		if _, there := s.Load("ens6"); there == tt.blocks {
			t.Errorf("%s: the record of the new name is there: %v", tt.name, there)
		}
	}
}

// An interface that is plugged in again has another index: how it is found is on disk before it is changed, also
// where its rules and table are those of the last time.
func TestWrittenAheadAgain(t *testing.T) {
	old := aRecord()
	s := stored(t)
	must(t, s.Save(old))
	a := &Agent{NIC: NIC{store: s, log: logrus.New(), link: &plumb.Link{}, logLimiter: newLogLimiter()}}
	a.snap = plumb.Snapshot{State: plumb.State{Name: "eth1", Index: old.Index + 6}, MAC: old.MAC}
	a.record = state.Record{Name: "eth1", Index: a.snap.Index, MAC: old.MAC, Baseline: &plumb.Baseline{Link: plumb.LinkState{MTU: 9001}}}
	a.inherit(old)
	a.writeAhead(plumb.State{Rules: []plumb.Rule{{Pref: 20001, From: netip.MustParsePrefix("10.0.2.40/32"), Table: 10001}}})
	if r, _ := s.Load("eth1"); r.Index != a.snap.Index || r.Baseline.Link.MTU != 9001 {
		t.Errorf("on disk: index %d, before %+v; the interface has index %d", r.Index, r.Baseline, a.snap.Index)
	}
}

// TestDisown: the setting that marks needed is given back as it was found.
func TestDisown(t *testing.T) {
	for _, was := range []bool{false, true} {
		s := plumb.Snapshot{State: plumb.State{Link: plumb.LinkState{Up: true, SrcValidMark: true}, Packets: []plumb.PacketRule{{Table: 19003, Kind: plumb.ReplyByInterface}}}}
		f := Facts{conflict: true, Settings: config.Interface{Manage: config.Full}, before: &plumb.Baseline{Link: plumb.LinkState{SrcValidMark: was}}}
		got, err := f.Want(s)
		must(t, err)
		if got.Link.SrcValidMark != was || !got.Link.Up || len(got.Packets) > 0 {
			t.Errorf("was %v: %+v", was, got)
		}
	}
}
