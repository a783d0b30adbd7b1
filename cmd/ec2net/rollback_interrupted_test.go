package main

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/sirupsen/logrus"

	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/test/lab"
)

// Who interrupts a change gets no half of it: what cuts the host off is put back.
func TestInterruptedAndUndone(t *testing.T) {
	t.Parallel()
	t.Run("down", func(t *testing.T) {
		t.Parallel()
		c := cloud(t, wide())
		ip(t, c, "rule add to 169.254.169.254 lookup 10000 pref 100") // without the table, by eth1, and there is a wall
		wall(t, c, "eth1", "10.0.2.1")
		must(t, c.Assign("eth0", addr("10.0.0.5")))
		keep(t, c, "eth0")
		k := keep(t, c, "eth1")
		session := operator(t, c, "10.0.2.200", "10.0.0.29")
		settled(t, c, []string{"eth0", "eth1"})
		k.stop(t)
		ip(t, c, "route add default via 10.0.2.1 dev eth1 metric 1")
		held := world(t, c)
		cmd := c.Instance().Command(t.Context(), "ec2net", "--cloud", "ec2", "down", "eth0")
		said := &lab.Log{}
		cmd.Stdout, cmd.Stderr = said, said
		must(t, cmd.Start())
		eventually(t, hang, "the primary's rules are gone", func() bool { return !strings.Contains(ip(t, c, "rule"), "20000:") })
		must(t, cmd.Process.Signal(syscall.SIGINT))
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != exitFailed {
			t.Errorf("down: %v", err)
		}
		says(t, said.String(), "rolled back: without this interface")
		unchanged(t, c, held, "an interrupted down")
		alive(t, session)
	})
	t.Run("run", func(t *testing.T) {
		t.Parallel()
		c := cloud(t, wide())
		session := operator(t, c, "10.0.2.200", "10.0.0.29")
		before := world(t, c)
		p := &program{cloud: "ec2", configFile: write(t, ""), log: logrus.New(), store: stored(t)}
		must(t, c.Instance().Do(func() error {
			a, err := agentOf(p, "eth1")
			if err != nil {
				return err
			}
			defer a.link.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			a.stays, a.leasing = true, "off"
			a.settled = metadata.Interface{MAC: a.snap.MAC, DeviceNumber: 1,
				Addrs4: metadata.Is([]netip.Addr{addr("10.0.2.37")}), Subnets4: metadata.Is([]netip.Prefix{netip.MustParsePrefix("10.0.2.0/24")}),
				Addrs6: metadata.None[[]netip.Addr](), Subnets6: metadata.None[[]netip.Prefix](),
				Prefixes4: metadata.None[[]netip.Prefix](), Prefixes6: metadata.None[[]netip.Prefix]()}
			look := a.link.Changing
			a.link.Changing = func(have plumb.Snapshot, want plumb.State, plan plumb.Plan) {
				look(have, want, plan)
				cancel() // in the middle of the change
			}
			return errors.Join(err, a.converge(ctx))
		}))
		unchanged(t, c, before, "a change that was interrupted")
		alive(t, session)
	})
}

// alive wants a session to go on.
func alive(t *testing.T, s *lab.Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	must(t, s.Alive(ctx))
}
