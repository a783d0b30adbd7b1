package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
)

// DHCP servers that offer what no interface can use. Without metadata the interface is left as it was, and with it
// the interface is set up as if there was no DHCP; either way it is said once.
func TestBadOffers(t *testing.T) {
	t.Parallel()
	mask := func(n int) *int { return &n }
	for _, tt := range []struct {
		name  string
		fault lab.DHCPFault
		says  string
	}{
		{"0.0.0.0", lab.DHCPFault{Offer: addr("0.0.0.0")}, "is unspecified"},
		{"255.255.255.255", lab.DHCPFault{Offer: addr("255.255.255.255")}, "is reserved"},
		{"multicast", lab.DHCPFault{Offer: addr("224.0.0.9")}, "is a multicast address"},
		{"loopback", lab.DHCPFault{Offer: addr("127.0.0.9")}, "is a loopback address"},
		{"the network's address", lab.DHCPFault{Offer: addr("10.0.2.0")}, "is the network or broadcast address"},
		{"mask 0", lab.DHCPFault{Mask: mask(0)}, "makes the whole internet one subnet"},
		{"a mask with holes", lab.DHCPFault{Options: map[uint8][]byte{1: {255, 0, 255, 0}}}, "has holes"},
		{"no mask", lab.DHCPFault{Options: map[uint8][]byte{1: {}}}, "subnet mask): missing"},
		{"a lease of 1 s", lab.DHCPFault{Lease: time.Second}, "is shorter than 10s"},
		{"no server identifier", lab.DHCPFault{Options: map[uint8][]byte{54: {}}}, "server identifier): missing"},
		{"cut short", lab.DHCPFault{Mangle: lab.Truncated}, "no answer"},
		{"a stub", lab.DHCPFault{Mangle: lab.Stub}, "no answer"},
		{"noise", lab.DHCPFault{Mangle: lab.Garbage}, "no answer"},
		{"no cookie", lab.DHCPFault{Mangle: lab.NoMagic}, "no answer"},
		{"nothing", lab.DHCPFault{Silent: true}, "no answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			before := world(t, c)
			spoilDHCP(t, c, tt.fault)
			heal := spoil(t, c, lab.Fault{Status: 403})
			says(t, ec2net(t, c, exitUnavailable, "up", "eth1", "--wait", "2s"), "switched off", "nothing was changed")
			unchanged(t, c, before, "a bad offer")
			heal()
			k := startAs(t, c, quick(), "eth1", nil)
			k.notify.await(t, "READY=1")
			answers(t, c, lab.EIP2)
			if got := addresses(t, c, "eth1"); got != "10.0.2.37" {
				t.Errorf("eth1 has %s", got)
			}
			k.logs(t, tt.says)
			k.logsTimes(t, "DHCP: ", 1)
		})
	}
}

// Offers that are usable in part: what is not is left out, and the interface answers.
func TestOddOffers(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]lab.DHCPFault{
		"a foreign subnet":  {Offer: addr("192.168.7.9"), Router: addr("192.168.7.1")},
		"a router outside":  {Router: addr("192.0.2.1")},
		"itself as router":  {Router: addr("10.0.2.37")},
		"no router":         {NoRouter: true},
		"an MTU of 68":      {MTU: 68},
		"a huge MTU":        {MTU: 65535},
		"other names":       {Mangle: lab.Overload},
		"everything twice":  {Mangle: lab.Repeated},
		"T1 beyond the end": {Lease: 20 * time.Second, T1: time.Hour, T2: 2 * time.Hour},
		"T2 before T1":      {Lease: 20 * time.Second, T1: 15 * time.Second, T2: 5 * time.Second},
		"with no expiry":    {Lease: lab.InfiniteLease},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			spoilDHCP(t, c, f)
			out, status := on(t, c, "ec2net", "--cloud", "ec2", "up", "eth1", "--wait", "15s")
			if status != exitOK && status != exitPartial {
				t.Errorf("exit status %d: %s", status, out)
			}
			answers(t, c, lab.EIP2)
			if got := addresses(t, c, "eth1"); got != "10.0.2.37" {
				t.Errorf("eth1 has %s", got)
			}
			holds(t, ip(t, c, "route show table 10001"), "default via 10.0.2.1 dev eth1")
		})
	}
}

// A configuration that can not be trusted or read is an error with its name and a reason, for each command
// that reads one, before anything is touched or asked.
func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		must(t, os.Chmod(path, mode))
		return path
	}
	before, asked := world(t, c), len(c.IMDS().Requests(time.Time{}))
	for name, path := range map[string]string{
		"broken":         file("broken", "manage = ", 0o600),
		"binary":         file("binary", "\x00\xff\xfe manage", 0o600),
		"huge":           file("huge", strings.Repeat("# nothing\n", 1<<20), 0o600),
		"group-writable": file("group", "", 0o620),
		"world-writable": file("world", "", 0o602),
		"a directory":    dir,
		"a device":       "/dev/zero",
		"a wrong value":  file("value", "refresh = \"-1s\"\n", 0o600),
		"a wrong type":   file("type", "manage = [1, {}]\n", 0o600),
		"an unknown key": file("key", "mange = true\n", 0o600),
	} {
		for _, command := range []string{"up", "run", "plan"} {
			out, status := on(t, c, "timeout", "10", "ec2net", "--cloud", "ec2", "--config", path, command, "eth1")
			if status != exitUsage || !strings.Contains(out, path) || strings.Count(out, "\n") > 3 || len(out) > 600 {
				t.Errorf("%s, %s: status %d, says %.700s", name, command, status, out)
			}
		}
	}
	unchanged(t, c, before, "a bad configuration")
	if n := len(c.IMDS().Requests(time.Time{})) - asked; n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}
