package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ec2net/state"
	"ec2net/test/lab"
)

// deaf starts what is a dhcpcd for all interfaces by its title, and does nothing: it has not noticed the interface.
func deaf(t *testing.T, c *lab.Cloud) (kill func()) {
	t.Helper()
	return ownerOn(t, c, "bash", "-c", `exec -a 'dhcpcd: [manager] [ip4]' sleep infinity`)
}

// A program that takes every interface and asks for no lease on a new one is not waited for; status says meanwhile what
// is heard, and until when. With metadata that say nothing, ec2net takes the lease itself.
func TestOwnerThatDoesNotCome(t *testing.T) {
	t.Parallel()
	for name, silent := range map[string]bool{"the metadata name the address": false, "the metadata are silent": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cloud(t, lab.Config{})
			deaf(t, c)
			if silent {
				must(t, c.IMDS().Silence())
			}
			k := start(t, c, "eth1")
			if !silent {
				k.notify.await(t, "STATUS=waiting for dhcpcd to add 10.0.2.37 since ")
				k.notify.await(t, ": nobody has asked for a lease there yet; ec2net adds it at ")
			}
			k.logs(t, "dhcpcd takes every interface, but nobody has asked for a lease on eth1 for 5s")
			k.notify.await(t, "READY=1")
			answers(t, c, lab.EIP2)
			if silent {
				says(t, statusOf1(t, c, "eth1"), "degraded: 10.0.2.37/24 from its lease alone")
			}
			if w := awaitedBy(t, c, "eth1"); w != nil {
				t.Errorf("JSON: %+v", w)
			}
		})
	}
}

// A client that asks for a lease is heard, and waited for; when it ends without an address, ec2net takes the lease.
func TestOwnerThatIsHeard(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	dir := t.TempDir()
	script, conf := filepath.Join(dir, "script"), filepath.Join(dir, "conf")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755)) // it adds no address
	must(t, os.WriteFile(conf, []byte("retry 2; initial-interval 1; backoff-cutoff 2;\n"), 0o644))
	spoilDHCP(t, c, lab.DHCPFault{Interface: "eth1", Silent: true})
	kill := ownerOn(t, c, "dhclient", "-4", "-d", "-sf", script, "-cf", conf, "-lf", filepath.Join(dir, "leases"), "-pf", filepath.Join(dir, "pid"), "eth1")
	k := start(t, c, "eth1")
	k.notify.await(t, ": there was a DHCP message at ")
	if w := awaitedBy(t, c, "eth1"); w == nil || w.Program != "dhclient" || w.Heard != "DHCP message" || w.HeardAt.IsZero() || w.Until.IsZero() {
		t.Errorf("JSON: %+v", w)
	}
	c.DHCP().Clear()
	kill()
	k.logs(t, "dhclient no longer has the interface", "lease of 10.0.2.37/24")
	k.notify.await(t, "READY=1")
	answers(t, c, lab.EIP2)
	if out := statusOf1(t, c, "eth1"); strings.Contains(out, "lease       dhclient") {
		t.Errorf("status:\n%s", out)
	}
}

// awaitedBy is what the JSON of status says of another program's address.
func awaitedBy(t *testing.T, c *lab.Cloud, iface string) *state.Awaited {
	t.Helper()
	var list []state.Record
	must(t, json.Unmarshal([]byte(ec2net(t, c, exitOK, "status", iface, "--json")), &list))
	return list[0].Awaits
}
