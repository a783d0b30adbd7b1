package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// ends runs a command on the instance that has to end by itself, whatever other processes do.
func ends(t *testing.T, c *lab.Cloud, status int, args ...string) string {
	t.Helper()
	args = append([]string{"--cloud", string(c.Provider())}, args...)
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	cmd := c.Instance().Command(ctx, executable("ec2net", args), args...)
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		t.Errorf("ec2net %q does not end:\n%s", args, out)
	case cmd.ProcessState == nil:
		t.Fatalf("ec2net %q: %v", args, err)
	case cmd.ProcessState.ExitCode() != status:
		t.Errorf("ec2net %q: exit status %d, want %d\n%s", args, cmd.ProcessState.ExitCode(), status, out)
	}
	return string(out)
}

// suspend stops the process by SIGSTOP, and waits until it is.
func (k *kept) suspend(t *testing.T) {
	t.Helper()
	must(t, k.Process.Signal(unix.SIGSTOP))
	for {
		err := unix.Waitid(unix.P_PID, k.Process.Pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			must(t, err)
			return
		}
	}
}

// moves has an interface go through what happens to one: its addresses change, and its process ends by SIGTERM.
func moves(t *testing.T, c *lab.Cloud, k *kept, iface, more string) {
	t.Helper()
	must(t, c.Assign(iface, addr(more)))
	must(t, k.Process.Signal(syscallHUP))
	eventually(t, hang, iface+" has "+more, func() bool { return strings.Contains(addresses(t, c, iface), more) })
	must(t, c.Release(iface, addr(more)))
	must(t, k.Process.Signal(syscallHUP))
	eventually(t, hang, iface+" no longer has "+more, func() bool { return !strings.Contains(addresses(t, c, iface), more) })
	k.stop(t)
}

// A process that is stopped (SIGSTOP, a debugger) is silent, and holds all that it held: the lock, the record, the
// rules. No other interface minds. Whoever asks it for something is told at once, and down ends it.
func TestStoppedAgent(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	before := world(t, c)
	eth2 := lab.Interface{Name: "eth2", Addrs4: []netip.Addr{addr("10.0.2.60")}}
	flags := []string{"--config", write(t, soon)}
	sleeper := startWith(t, c, "eth1", flags)
	sleeper.notify.await(t, "lease until")
	sleeper.suspend(t)

	spoilDHCP(t, c, lab.DHCPFault{Lease: 20 * time.Second, T1: 2 * time.Second, T2: 15 * time.Second})
	must(t, c.Attach(eth2))
	for iface, more := range map[string]string{"eth0": "10.0.0.50", "eth2": "10.0.2.61"} {
		k := startWith(t, c, iface, flags)
		k.notify.await(t, "READY=1")
		moves(t, c, k, iface, more)
	}
	third := startWith(t, c, "eth2", flags)
	third.notify.await(t, "lease until")
	since := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	must(t, c.DHCP().Wait(ctx, since, func(list []lab.DHCPMessage) bool {
		return slices.ContainsFunc(list, func(m lab.DHCPMessage) bool { return m.Interface == "eth2" && m.State == "RENEWING" })
	}))
	must(t, c.Detach("eth2"))
	third.end(t)
	answers(t, c, lab.EIP2)

	who := fmt.Sprintf("process %d", sleeper.Process.Pid)
	for _, o := range []struct {
		status int
		args   string
	}{
		{exitFailed, "up eth1"}, {exitFailed, "run eth1"}, {exitOK, "status eth1"}, {exitDifferences, "doctor eth1"}, {exitOK, "scan"}, {exitOK, "scan eth1"},
	} {
		says(t, ends(t, c, o.status, append(slices.Clone(flags), strings.Fields(o.args)...)...), who, "stopped", fmt.Sprintf("kill -CONT %d", sleeper.Process.Pid))
	}
	ends(t, c, exitOK, append(slices.Clone(flags), "plan", "eth1")...)
	ends(t, c, exitOK, "down", "eth1")
	sleeper.end(t)
	ends(t, c, exitOK, "down", "eth0")
	if d := cmp.Diff(lasting(before), lasting(world(t, c))); d != "" {
		t.Errorf("after down (-before +after):\n%s", d)
	}
}

// The host's own traffic leaves by an interface whose process is stopped, and by it traffic is passed on: that goes on,
// and so do the processes of the interfaces that stand beside it in [egress] and [nat].
func TestStoppedAgentWithRoles(t *testing.T) {
	t.Parallel()
	toml := soon + "[egress]\ninterface = [\"eth2\", \"eth3\"]\n[nat]\nfrom = [\"10.0.3.0/24\"]\nout = \"eth2\"\n"
	l := egressLab{egressCloud(t), write(t, toml)}
	rules := nftables(t, l.Cloud) + ip(t, l.Cloud, "rule") + ip(t, l.Cloud, "-6 rule")
	primary, sleeper, inside := l.keep(t, "eth0"), l.keep(t, "eth2"), l.keep(t, "eth3")
	leads(t, l.Cloud, hang, "10001")
	roles := func() string { return forwarding(t, l.Cloud, "eth2", "eth3") }
	eventually(t, hang, "forwarding", func() bool { return roles() == "1 1" })
	l.settled(t, "eth0", "eth2", "eth3")
	sleeper.suspend(t)

	moves(t, l.Cloud, primary, "eth0", "10.0.0.50")
	moves(t, l.Cloud, inside, "eth3", "10.0.3.50")
	inside, primary = l.keep(t, "eth3"), l.keep(t, "eth0")
	moves(t, l.Cloud, inside, "eth3", "10.0.3.50")
	inside = l.keep(t, "eth3")
	if ways(t, l.Cloud) != "10001 10001" || roles() != "1 1" {
		t.Errorf("egress by %s, forwarding %s", ways(t, l.Cloud), roles())
	}
	must(t, l.Detach("eth3"))
	inside.end(t)
	primary.stop(t)
	for _, iface := range []string{"eth2", "eth0"} {
		ends(t, l.Cloud, exitOK, "--config", l.conf, "down", iface)
	}
	sleeper.end(t)
	if now := nftables(t, l.Cloud) + ip(t, l.Cloud, "rule") + ip(t, l.Cloud, "-6 rule"); now != rules || forwarding(t, l.Cloud, "eth2") != "0" {
		t.Errorf("left behind:\n%s", now)
	}
}
