package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
)

func strip(t *testing.T, c *lab.Cloud, iface string) {
	t.Helper()
	ip(t, c, "addr flush dev "+iface)
	ip(t, c, "link set "+iface+" down")
}

// Where nobody configures the host, its interfaces come up all the same: the primary is given a lease and main's
// default route, by which the metadata is reached, and the other then follows.
func TestHostThatNobodyConfigures(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"auto", "native"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			c := unconfigured(t, lab.Config{RPFilter: 1})
			configure(t, c, "dhcp = \""+mode+"\"\n")
			must(t, c.Assign("eth0", addr("10.0.0.5")))
			must(t, c.AssociateEIP(addr("10.0.0.5"), addr("203.0.113.5")))
			second, first := start(t, c, "eth1"), start(t, c, "eth0")
			first.notify.await(t, "READY=1")
			second.notify.await(t, "READY=1")
			for _, to := range []string{lab.EIP1.String(), lab.EIP2.String(), "203.0.113.5"} {
				answersWithin(t, c, hang, addr(to))
			}
			if def := ip(t, c, "-N route show default"); !strings.HasPrefix(def, "default via 10.0.0.1 dev eth0 proto 236 src 10.0.0.29 metric 512") {
				t.Errorf("the host's own traffic does not leave by the primary:\n%s", def)
			}
			tells(t, c, "eth0", "depends on this lease", "nobody else configures it")
			sound(t, c)
			first.stop(t)
			second.stop(t)
		})
	}
}

// sound: status, plan and doctor find nothing to do, once each process knows of the other's interface.
func sound(t *testing.T, c *lab.Cloud) {
	t.Helper()
	names := []string{}
	for _, iface := range c.Interfaces() {
		names = append(names, iface.Name)
	}
	settled(t, c, names)
	for _, name := range names {
		if out := ec2net(t, c, exitOK, "plan", name); out != "" {
			t.Errorf("plan %s:\n%s", name, out)
		}
	}
	says(t, ec2net(t, c, exitOK, "doctor"), "eth0: nobody else configures it: ec2net takes its lease", "all well")
}

// What the host lives by outlives the process that gave it, with the metadata and without, and is renewed by the next.
func TestHostLivesThroughRestarts(t *testing.T) {
	t.Parallel()
	c := unconfigured(t, lab.Config{})
	spoilDHCP(t, c, lab.DHCPFault{Interface: "eth0", Lease: 2 * time.Minute, T1: 2 * time.Second, T2: 60 * time.Second})
	k := keep(t, c, "eth0")
	answersWithin(t, c, hang, lab.EIP1)
	end := session(t, c, "10.0.0.29", lab.EIP1)
	quiet := silently(t, c)
	for _, silent := range []bool{false, true} {
		if silent {
			must(t, c.IMDS().Silence())
		}
		must(t, k.Process.Kill())
		<-k.ended
		begun := time.Now()
		if silent {
			k = start(t, c, "eth0")
		} else {
			k = keep(t, c, "eth0")
		}
		ctx, cancel := context.WithTimeout(t.Context(), hang)
		err := c.DHCP().Wait(ctx, begun, func(list []lab.DHCPMessage) bool {
			return slices.ContainsFunc(list, func(m lab.DHCPMessage) bool { return m.State == "RENEWING" && m.Reply == "ACK" })
		})
		cancel()
		must(t, err)
		quiet("a restart")
		answers(t, c, lab.EIP1)
	}
	on(t, c, "rm", "-rf", "/run/ec2net")
	must(t, k.Process.Kill())
	<-k.ended
	k = keep(t, c, "eth0") // with no record, and the metadata silent
	k.notify.await(t, "STATUS=degraded: 10.0.0.29/24 from its lease alone")
	quiet("a restart without a record")
	must(t, c.IMDS().Resume())
	k.notify.await(t, "STATUS=primary interface")
	answers(t, c, lab.EIP1)
	end()
	k.stop(t)
}

// While the metadata says nothing, the interface that came first serves the host; it is not the primary here, and
// what it was given moves when the metadata says so. The primary then has the host's default route.
func TestHostFoundTheWrongInterface(t *testing.T) {
	t.Parallel()
	c := unconfigured(t, lab.Config{})
	heal := spoil(t, c, lab.Fault{Status: 404})
	second := start(t, c, "eth1")
	second.notify.await(t, "STATUS=degraded: 10.0.2.37/24 from its lease alone") // eth0 had its turn, and took none
	answers(t, c, lab.EIP2)
	if def := ip(t, c, "-N route show default"); !strings.Contains(def, "dev eth1 proto 236 src 10.0.2.37 metric 512") {
		t.Errorf("the host has no way out:\n%s", def)
	}
	end := session(t, c, "10.0.2.37", lab.EIP2)
	heal()
	second.notify.await(t, "STATUS=10.0.2.37, table 10001")
	if main := ip(t, c, "route show table main"); strings.Contains(main, "metric 512") || !strings.Contains(main, "metric 10001") {
		t.Errorf("what the host lived by has not moved:\n%s", main)
	}
	upAsPlanned(t, c, exitOK, "up", "eth0")
	answers(t, c, lab.EIP1)
	answers(t, c, lab.EIP2)
	if def := ip(t, c, "-N route show default"); !strings.HasPrefix(def, "default via 10.0.0.1 dev eth0 proto 236 src 10.0.0.29 metric 512") {
		t.Errorf("the host's own traffic does not leave by the primary:\n%s", def)
	}
	second.notify.await(t, "READY=1")
	sound(t, c)
	end()
	second.stop(t)
}

// Nothing is asked of a DHCP server for an interface that another program configures, or is about to, or has let go:
// it takes it up again.
func TestHostIsLeftToOthers(t *testing.T) {
	t.Parallel()
	t.Run("asking", func(t *testing.T) {
		t.Parallel()
		c := unconfigured(t, lab.Config{})
		spoilDHCP(t, c, lab.DHCPFault{Interface: "eth0", Silent: true}) // dhclient has got nothing yet
		other := c.Instance().Command(t.Context(), "dhclient", "-4", "-d", "-sf", "/bin/true", "-lf", filepath.Join(t.TempDir(), "leases"), "-pf", filepath.Join(t.TempDir(), "pid"), "eth0")
		ip(t, c, "link set eth0 up")
		must(t, other.Start())
		t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
		k := start(t, c, "eth0")
		k.logs(t, "dhclient manages the interface")
		k.notify.await(t, "WATCHDOG=1")
		if got := k.log.String(); strings.Contains(got, "lease of") || strings.Contains(got, "nobody else configures") {
			t.Errorf("log:\n%s", got)
		}
	})
	t.Run("let go", func(t *testing.T) {
		t.Parallel()
		c := cloud(t, lab.Config{})
		first, second := keep(t, c, "eth0"), keep(t, c, "eth1") // by which the metadata is reached
		begun := time.Now()
		ip(t, c, "addr flush dev eth0")
		first.reload(t, c, "local-ipv4s")
		first.stop(t)
		first = start(t, c, "eth0")
		first.reload(t, c, "local-ipv4s")
		if got := c.DHCP().Messages(begun); slices.ContainsFunc(got, func(m lab.DHCPMessage) bool { return m.Interface == "eth0" }) {
			t.Errorf("asked for a lease: %v", got)
		}
		shell(t, c.Instance(), "ip addr add 10.0.0.29/24 dev eth0", "ip route add default via 10.0.0.1 dev eth0")
		answersWithin(t, c, hang, lab.EIP1)
		second.stop(t)
	})
}

// `down` takes all of ec2net's away but what the host itself lives by: an operator's connection may hang on that. It
// says so, and takes that too when it is asked to. The next `up` goes on from what there is.
func TestHostStaysAfterDown(t *testing.T) {
	t.Parallel()
	c := unconfigured(t, lab.Config{})
	must(t, c.Assign("eth0", addr("10.0.0.5")))
	must(t, c.AssociateEIP(addr("10.0.0.5"), addr("203.0.113.5")))
	k := keep(t, c, "eth0")
	answersWithin(t, c, hang, addr("203.0.113.5"))
	end := session(t, c, "10.0.0.29", lab.EIP1)
	says(t, ec2net(t, c, exitOK, "down", "eth0"), "10.0.0.29 and its default route stay", "ec2net down --lease eth0")
	k.end(t)
	answers(t, c, lab.EIP1)
	silent(t, c, addr("203.0.113.5"))
	upAsPlanned(t, c, exitOK, "up", "eth0")
	answers(t, c, addr("203.0.113.5"))
	configure(t, c, "manage = false\n")
	ec2net(t, c, exitOK, "up", "eth0")
	answers(t, c, lab.EIP1)
	silent(t, c, addr("203.0.113.5"))
	end()
	ec2net(t, c, exitOK, "down", "--lease", "eth0")
	if out := ip(t, c, "-4 addr show dev eth0") + ip(t, c, "route show table all dev eth0"); strings.Contains(out, "10.0.0.") {
		t.Errorf("after down --lease:\n%s", out)
	}
}
