package agent

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
)

// secondary is the agent of eth1 that knows what the metadata grants, in the namespace of the calling thread.
func secondary(s state.Store) (*Agent, error) {
	cloud, err := metadata.NewEC2(metadata.EC2Options{})
	if err != nil {
		return nil, err
	}
	a, err := newAgent("eth1", Options{Cloud: metadata.CloudEC2, Source: cloud, Config: config.Default(), Store: s, Known: s.All(), Log: logrus.New()})
	if err != nil {
		return nil, err
	}
	a.daemon, a.dhcpOwner = true, "off"
	a.settled = metadata.Interface{
		MAC: a.snap.MAC, DeviceNumber: 1,
		Addrs4: metadata.Is([]netip.Addr{addr("10.0.2.37")}), Subnets4: metadata.Is([]netip.Prefix{netip.MustParsePrefix("10.0.2.0/24")}),
		Addrs6: metadata.None[[]netip.Addr](), Subnets6: metadata.None[[]netip.Prefix](),
		Prefixes4: metadata.None[[]netip.Prefix](), Prefixes6: metadata.None[[]netip.Prefix](),
	}
	return a, nil
}

// with runs f with eth1's agent on the instance.
func with(t *testing.T, c *lab.Cloud, s state.Store, f func(*Agent) error) {
	t.Helper()
	must(t, c.Instance().Do(func() error {
		a, err := secondary(s)
		if err != nil {
			return err
		}
		defer a.link.Close()
		return f(a)
	}))
}

// Who is killed between a change and its proof leaves the proof to the next process: that one judges by how it was
// before the change, not by what it finds, and undoes what cuts the host off.
func TestKilledBeforeTheProof(t *testing.T) {
	t.Parallel()
	c := labtest.New(t, labtest.Wide())
	session := labtest.Operator(t, c, "10.0.2.200", "10.0.0.29")
	before, s := labtest.World(t, c), stored(t)
	with(t, c, s, func(a *Agent) error { return a.reconcile(t.Context()).Err() }) // and here it is killed
	if reflect.DeepEqual(before, labtest.World(t, c)) {
		t.Fatal("nothing was changed")
	}
	with(t, c, s, func(a *Agent) error {
		err := a.converge(t.Context())
		if a.rolledBack == nil {
			t.Error("it is not undone")
		} else if !strings.Contains(planLine(a.rolledBack.plan), "+ rule from 10.0.2.37 lookup 10001") {
			t.Errorf("the change was %q", planLine(a.rolledBack.plan))
		}
		return err
	})
	labtest.Unchanged(t, c, before, "a change whose process was killed before its proof")
	labtest.Alive(t, session)
	with(t, c, s, func(a *Agent) error { // it is proved once
		if a.check.open {
			t.Error("the trial goes on")
		}
		return nil
	})
}

// Who interrupts a change gets no half of it: what cuts the host off is put back.
func TestInterruptedChange(t *testing.T) {
	t.Parallel()
	c := labtest.New(t, labtest.Wide())
	session := labtest.Operator(t, c, "10.0.2.200", "10.0.0.29")
	before := labtest.World(t, c)
	with(t, c, stored(t), func(a *Agent) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		look := a.link.Changing
		a.link.Changing = func(have plumb.Snapshot, want plumb.State, plan plumb.Plan) {
			look(have, want, plan)
			cancel() // in the middle of the change
		}
		return errors.Join(a.converge(ctx))
	})
	labtest.Unchanged(t, c, before, "a change that was interrupted")
	labtest.Alive(t, session)
}
