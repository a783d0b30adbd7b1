package main

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"ec2net/metadata"
)

// Who is killed between a change and its proof leaves the proof to the next process: that one judges by how it was
// before the change, not by what it finds, and undoes what cuts the host off.
func TestKilledBeforeTheProof(t *testing.T) {
	t.Parallel()
	c := cloud(t, wide())
	session := operator(t, c, "10.0.2.200", "10.0.0.29")
	before := world(t, c)
	p := &program{cloud: "ec2", configFile: write(t, ""), log: logrus.New(), store: stored(t)}
	begin := func() (*agent, error) {
		a, err := agentOf(p, "eth1")
		if err != nil {
			return nil, err
		}
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
		return a.reconcile(t.Context()).Err() // and here it is killed
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
		} else if !strings.Contains(inLine(a.undone.plan), "+ rule from 10.0.2.37 lookup 10001") {
			t.Errorf("the change was %q", inLine(a.undone.plan))
		}
		return err
	}))
	unchanged(t, c, before, "a change whose process was killed before its proof")
	alive(t, session)
	must(t, c.Instance().Do(func() error { // it is proved once
		a, err := agentOf(p, "eth1")
		if err == nil && a.trial.open {
			t.Error("the trial goes on")
		}
		a.link.Close()
		return err
	}))
}
