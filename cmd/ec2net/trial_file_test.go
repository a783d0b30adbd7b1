package main

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"ec2net/metadata"
	"ec2net/plumb"
)

// Who is killed between a change and its proof leaves the proof to the next process: that one judges by how it was
// before the change, not by what it finds, and undoes what cuts the host off.
func TestKilledBeforeTheProof(t *testing.T) {
	t.Parallel()
	c := cloud(t, wide())
	session := operator(t, c, "10.0.2.200", "10.0.0.29")
	before := world(t, c)
	p := &program{cloud: "ec2", configFile: write(t, ""), log: logrus.New(), store: store{t.TempDir()}}
	begin := func() (*agent, error) {
		a, err := p.newAgent("eth1")
		if err != nil {
			return nil, err
		}
		a.cloud, err = p.source()
		a.stays, a.leasing = true, "off"
		a.settled = metadata.Interface{MAC: a.snap.MAC, DeviceNumber: 1,
			Addrs4: metadata.Is([]netip.Addr{addr("10.0.2.37")}), Subnets4: metadata.Is([]netip.Prefix{netip.MustParsePrefix("10.0.2.0/24")}),
			Addrs6: metadata.None[[]netip.Addr](), Subnets6: metadata.None[[]netip.Prefix](),
			Prefixes4: metadata.None[[]netip.Prefix](), Prefixes6: metadata.None[[]netip.Prefix]()}
		return a, err
	}
	must(t, c.Instance().Do(func() error {
		a, err := begin()
		if err != nil {
			return err
		}
		defer a.link.Close()
		return a.link.Reconcile(t.Context(), a.want).Err() // and here it is killed
	}))
	if reflect.DeepEqual(before, world(t, c)) {
		t.Fatal("nothing was changed")
	}
	must(t, c.Instance().Do(func() error {
		a, err := begin()
		if err != nil {
			return err
		}
		defer a.link.Close()
		err = a.converge(t.Context())
		if a.undone == nil {
			t.Error("it is not undone")
		}
		return err
	}))
	unchanged(t, c, before, "a change whose process was killed before its proof")
	alive(t, session)
	must(t, c.Instance().Do(func() error { // it is proved once
		a, err := p.newAgent("eth1")
		if err == nil && a.trial.open {
			t.Error("the trial goes on")
		}
		a.link.Close()
		return err
	}))
}

// What is written down of a change is read back as it was; what is of another interface, or too old, is nothing.
func TestTrialOnDisk(t *testing.T) {
	s := store{t.TempDir()}
	mac := metadata.MAC{2, 0, 0, 0, 0, 1}
	prefix := netip.MustParsePrefix
	u := unproved{MAC: mac, Index: 7, At: time.Now(), Fresh: true, Before: plumb.State{
		Name: "eth1", Index: 7, Link: plumb.LinkState{Up: true, MTU: 1500}, AltNames: []string{"eni-1"}, Groups: []plumb.IfGroup{{Name: "eth0", Index: 2}},
		Addrs:   []plumb.Addr{{Prefix: prefix("10.0.2.37/24"), Ours: true}},
		Routes:  []plumb.Route{{Table: 10001, Dst: prefix("0.0.0.0/0"), Via: addr("10.0.2.1"), Ours: true}, {Table: 254, Dst: prefix("10.0.2.0/24")}},
		Rules:   []plumb.Rule{{Pref: 20001, From: prefix("10.0.2.37/32"), Table: 10001}},
		Packets: []plumb.PacketRule{{Table: 10001, Kind: plumb.Masquerade, Dev: 7, From: prefix("10.0.3.0/24")}},
	}}
	var back unproved
	b, err := json.Marshal(u)
	must(t, err)
	must(t, json.Unmarshal(b, &back))
	if !reflect.DeepEqual(u.Before, back.Before) {
		t.Errorf("read back %+v, want %+v", back.Before, u.Before)
	}
	tr := &trial{link: &plumb.Link{Name: "eth1"}, store: s, log: logrus.New()}
	for name, tt := range map[string]struct {
		change func(*unproved)
		snap   plumb.Snapshot
		want   bool
	}{
		"the same":      {func(*unproved) {}, plumb.Snapshot{MAC: mac, State: plumb.State{Name: "eth1", Index: 7}}, true},
		"plugged anew":  {func(*unproved) {}, plumb.Snapshot{MAC: mac, State: plumb.State{Name: "eth1", Index: 8}}, false},
		"another MAC":   {func(u *unproved) { u.MAC[5]++ }, plumb.Snapshot{MAC: mac, State: plumb.State{Name: "eth1", Index: 7}}, false},
		"too old":       {func(u *unproved) { u.At = u.At.Add(-resumable - time.Second) }, plumb.Snapshot{MAC: mac, State: plumb.State{Name: "eth1", Index: 7}}, false},
		"of the future": {func(u *unproved) { u.At = u.At.Add(time.Hour) }, plumb.Snapshot{MAC: mac, State: plumb.State{Name: "eth1", Index: 7}}, false},
	} {
		v := u
		tt.change(&v)
		tr.writeAhead(v)
		if _, ok := tr.resume(tt.snap); ok != tt.want {
			t.Errorf("%s: %v, want %v", name, ok, tt.want)
		}
	}
}
