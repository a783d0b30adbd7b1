package state

import (
	"net/netip"
	"os"
	"reflect"
	"testing"
	"time"

	"ec2net/plumb"
)

// What is written down of a change is read back as it was; what is of another interface, or too old, is nothing.
func TestPending(t *testing.T) {
	s := open(t)
	now := time.Now()
	whole := Pending{MAC: mac(1), Index: 7, At: now, Fresh: true, Before: plumb.State{
		Name: "eth1", Index: 7, Link: plumb.LinkState{Up: true, MTU: 1500}, AltNames: []string{"eni-1"}, Groups: []plumb.IfGroup{{Name: "eth0", Index: 2}},
		Addrs:   []plumb.Addr{{Prefix: prefix("10.0.2.37/24"), Ours: true}},
		Routes:  []plumb.Route{{Table: 10001, Dst: prefix("0.0.0.0/0"), Via: addr("10.0.2.1"), Ours: true}, {Table: 254, Dst: prefix("10.0.2.0/24")}},
		Rules:   []plumb.Rule{{Pref: 20001, From: prefix("10.0.2.37/32"), Table: 10001}},
		Packets: []plumb.PacketRule{{Table: 10001, Kind: plumb.Masquerade, Dev: 7, From: prefix("10.0.3.0/24")}},
	}}
	for name, tt := range map[string]struct {
		change func(*Pending)
		mac    byte
		index  int
		want   bool
	}{
		"the same":      {func(*Pending) {}, 1, 7, true},
		"plugged anew":  {func(*Pending) {}, 1, 8, false},
		"another MAC":   {func(*Pending) {}, 2, 7, false},
		"just in time":  {func(p *Pending) { p.At = now.Add(-resumable) }, 1, 7, true},
		"too old":       {func(p *Pending) { p.At = now.Add(-resumable - time.Second) }, 1, 7, false},
		"of the future": {func(p *Pending) { p.At = now.Add(time.Hour) }, 1, 7, false},
	} {
		saved := whole
		tt.change(&saved)
		must(t, s.SavePending("eth1", saved))
		got, ok := s.LoadPending("eth1", mac(tt.mac), tt.index, now)
		if ok != tt.want {
			t.Errorf("%s: %v, want %v", name, ok, tt.want)
		}
		if ok && (!reflect.DeepEqual(got.Before, saved.Before) || !got.Fresh) {
			t.Errorf("%s: read back %+v, want %+v", name, got, saved)
		}
	}
	for range 2 { // what is not there is removed
		must(t, s.RemovePending("eth1"))
	}
	if _, ok := s.LoadPending("eth1", mac(1), 7, now); ok {
		t.Error("it is there after it was removed")
	}
	must(t, s.SavePending("eth1", Pending{Reach: plumb.Reach{}, Before: plumb.State{Routes: []plumb.Route{{Dst: netip.Prefix{}}}}}))
	must(t, s.Remove("eth1"))
	if files, _ := os.ReadDir(s.dir); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}
