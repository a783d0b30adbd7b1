package main

import "testing"

// A lab of Oracle's cloud by command: its metadata, a lease for the primary alone, an interface that the metadata are
// slow to show, and faults.
func TestOCI(t *testing.T) {
	u := asMe(t)
	u.contains("is up", "up", "--cloud", "oci")
	u.contains("2 of 2 answered", "ping", "client", "203.0.113.70")
	curl := func(want string, more ...string) {
		t.Helper()
		args := append([]string{"exec", "instance", "--", "curl", "-s", "-i", "http://169.254.169.254/opc/v2/vnics/"}, more...)
		u.contains(want, args...)
	}
	bearer := []string{"-H", "Authorization: Bearer Oracle"}
	curl("403 Forbidden")
	curl(`"macAddr": "02:00:17:00:01:01"`, bearer...)
	udhcpc := func(code int, want, iface string) {
		t.Helper()
		u.fails(code, want, "exec", "instance", "--", "busybox", "udhcpc", "-i", iface, "-n", "-q", "-t", "2", "-T", "1", "-s", "/bin/true")
	}
	udhcpc(0, "lease of 10.0.0.231", "eth0")
	u.lab("exec", "instance", "--", "ip", "link", "set", "eth1", "up")
	udhcpc(1, "no lease", "eth1")
	u.contains("eth2 is attached", "attach", "eth2", "--address", "10.0.2.40")
	u.contains("eth3 is attached", "attach", "eth3", "--address", "10.0.2.41", "--late", "0s")
	curl("10.0.2.41", bearer...)
	u.lab("fault", "imds", "--path", "vnics", "--status", "404", "--times", "1")
	curl("404 Not Found", bearer...)
	u.lab("fault", "imds", "--body", "cut", "--header", "Content-Type=text/html", "--times", "1")
	curl("Content-Type: text/html", bearer...)
	u.fails(1, `header "nonsense" is not NAME=VALUE`, "fault", "imds", "--header", "nonsense")
	u.lab("down")
}
