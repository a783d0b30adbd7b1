package doctor

import (
	"time"

	"ec2net/dhcp"
	"ec2net/state"
)

// lifeRows are faults of an interface's process, lease and records.
func lifeRows() map[string][]sick {
	hour := func(n int) time.Duration { return time.Duration(n) * time.Hour }
	lease := func(age time.Duration) func(*Facts) {
		return func(f *Facts) {
			f.Interfaces[1].Leasing = "native"
			f.Interfaces[1].Lease = &dhcp.Lease{Addr: prefix("10.0.2.37/24"), Server: addr("10.0.2.1"), Start: f.Now.Add(-age), Renew: hour(4), Rebind: hour(6), Expires: hour(8)}
		}
	}
	return map[string][]sick{
		"rolled-back": {
			{"by a process", one(func(c *Interface) { c.RolledBack, c.AgentPID = []string{"the metadata"}, 7 }), []string{"fail rolled-back eth1: the metadata; then systemctl reload ec2net-ifup@eth1"}},
			{"by hand", one(func(c *Interface) { c.RolledBack = []string{"the metadata"} }), []string{"fail rolled-back eth1: then ec2net up eth1"}},
		},
		"egress": {
			{"its gateway", one(func(c *Interface) { c.Egress, c.AgentPID = fell(state.EgressWithdrawn, state.EgressGateway), 7 }), []string{"warn egress eth1: why its gateway does not answer; ec2net retries by itself"}},
			{"the primary is not protected", func(f *Facts) {
				f.Primary, f.Interfaces[0].Unit = "eth0", "ec2net-ifup@eth0.service"
				f.Interfaces[1].Egress = fell(state.EgressBlocked, state.EgressUnprotected)
			}, []string{"warn egress eth1: systemctl restart ec2net-ifup@eth0.service; then ec2net up eth1"}},
			{"the primary is not protected, and has no unit", func(f *Facts) {
				f.Primary, f.Interfaces[1].Egress = "eth0", fell(state.EgressBlocked, state.EgressUnprotected)
			},
				[]string{"warn egress eth1: ec2net up eth0; then"}},
			{"it leaves", one(func(c *Interface) { c.Egress = fell(state.EgressActive, "") }), nil},
		},
		"lease": {
			{"young", lease(hour(1)), nil},
			{"a moment before it is late", lease(hour(5) - time.Second), nil},
			{"half between T1 and T2", lease(hour(5)), []string{"warn renewal eth1: overdue; 10.0.2.37/24 from 10.0.2.1; no process manages the interface: systemctl start ec2net-ifup@eth1"}},
			{"over, with a process", func(f *Facts) { lease(hour(8))(f); f.Interfaces[1].AgentPID = 7 }, []string{"warn lease eth1: has expired; journalctl -u ec2net-ifup@eth1"}},
			{"another program's", func(f *Facts) { lease(hour(9))(f); f.Interfaces[1].Leasing = "dhclient" }, nil},
		},
		"host": {
			{"it lives by ours", one(func(c *Interface) {
				c.Hosts, c.Lease = true, &dhcp.Lease{Addr: prefix("10.0.2.37/24"), Server: addr("10.0.2.1")}
			}),
				[]string{"ok host eth1: does not set up DNS; 10.0.2.37/24 from 10.0.2.1"}},
			{"another program has come", one(func(c *Interface) { c.Hosts, c.Owner = true, &dhcp.Owner{} }), nil},
		},
		"process": {
			{"it died", one(func(c *Interface) { c.Died = true }), []string{"fail process eth1: has died; systemctl restart ec2net-ifup@eth1"}},
			{"it is stopped", one(func(c *Interface) { c.AgentPID, c.Stopped = 7, "process 7 is stopped" }), []string{"fail process eth1: is stopped; kill -CONT 7"}},
		},
		"unmanaged": {
			{"and kept", one(func(c *Interface) { c.Managed, c.Alone, c.AgentPID = false, true, 7 }), []string{"warn unmanaged eth1: process 7 still manages it; ec2net down eth1"}},
			{"and not clean", one(func(c *Interface) { c.Managed, c.Alone = false, true }), []string{"warn unmanaged eth1: still on it; ec2net down eth1"}},
			{"and clean", one(func(c *Interface) { c.Managed, c.Alone, c.SetUp = false, true, false }), nil},
		},
		"unit": {
			{"failed", one(func(c *Interface) { c.Unit, c.State = "u.service", "failed" }), []string{"warn unit eth1: u.service is failed; systemctl reset-failed u.service && systemctl start u.service"}},
			{"masked", one(func(c *Interface) { c.Unit, c.State = `ec2net-ifup@a\x2db.service`, "masked" }), []string{`warn unit eth1: masked; systemctl unmask 'ec2net-ifup@a\x2db.service' && `}},
			{"stopped, and not set up", one(func(c *Interface) { c.Unit, c.State, c.SetUp = "u.service", "inactive", false }), nil},
			{"failed, and run by hand since", one(func(c *Interface) { c.Unit, c.State, c.AgentPID = "u.service", "failed", 7 }), nil},
		},
		"sandbox": {
			{"off", one(func(c *Interface) { c.AgentPID, c.Sandbox = 7, Sandbox{Unit: true, NoNewPrivileges: true} }), []string{"warn sandbox eth1: NoNewPrivileges true, SystemCallFilter false; systemctl cat ec2net-ifup@eth1"}},
			{"by hand", one(func(c *Interface) { c.AgentPID = 7 }), nil},
		},
		"record": {
			{"with a process", one(func(c *Interface) { c.AgentPID, c.Unsaved = 7, "no space" }), []string{"warn record eth1: no space; systemctl reload ec2net-ifup@eth1"}},
			{"without", one(func(c *Interface) { c.Unsaved = "no space" }), []string{"warn record eth1: ec2net up eth1"}},
		},
		"reading-age": {
			{"five minutes, at the usual pace", func(f *Facts) {
				c := &f.Interfaces[1]
				c.AgentPID, c.Refresh, c.ReadAt = 7, 30*time.Second, f.Now.Add(-5*time.Minute)
			},
				[]string{"warn reading-age eth1: for 5m0s; journalctl -u ec2net-ifup@eth1"}},
			{"less", func(f *Facts) {
				c := &f.Interfaces[1]
				c.AgentPID, c.Refresh, c.ReadAt = 7, 30*time.Second, f.Now.Add(-5*time.Minute+time.Second)
			}, nil},
			{"nine readings that are rare", func(f *Facts) {
				c := &f.Interfaces[1]
				c.AgentPID, c.Refresh, c.ReadAt = 7, time.Hour, f.Now.Add(-9*time.Hour)
			}, nil},
			{"none yet", one(func(c *Interface) { c.AgentPID = 7 }), nil},
		},
		"degraded": {
			{"with a process", one(func(c *Interface) { c.AgentPID, c.Degraded = 7, "no answer" }), []string{"warn degraded eth1: no answer; wait"}},
			{"without", one(func(c *Interface) { c.Degraded = "no answer" }), []string{"warn degraded eth1: once the metadata answers: ec2net up eth1"}},
		},
	}
}
