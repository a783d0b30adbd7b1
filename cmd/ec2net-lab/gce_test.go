package main

import "testing"

// A lab of Google's cloud by command: its metadata, leases of a /32 with routes, and faults.
func TestGCE(t *testing.T) {
	u := asMe(t)
	u.contains("is up", "up", "--cloud", "gce")
	u.contains("2 of 2 answered", "ping", "client", "203.0.113.70")
	curl := func(want string, more ...string) {
		t.Helper()
		args := append([]string{"exec", "instance", "--", "curl", "-s", "-i", "http://169.254.169.254/computeMetadata/v1/instance/network-interfaces/?recursive=true"}, more...)
		u.contains(want, args...)
	}
	flavor := []string{"-H", "Metadata-Flavor: Google"}
	curl("403 Forbidden")
	curl("Metadata-Flavor: Google", flavor...)
	curl(`"mac":"42:01:0a:14:00:25"`, flavor...)
	for iface, addr := range map[string]string{"eth0": "10.10.0.29", "eth1": "10.20.0.37"} {
		u.lab("exec", "instance", "--", "ip", "link", "set", iface, "up")
		u.fails(0, "lease of "+addr, "exec", "instance", "--", "busybox", "udhcpc", "-i", iface, "-n", "-q", "-t", "3", "-O", "staticroutes", "-s", "/bin/true")
	}
	u.contains("eth1 has 10.20.0.4", "assign", "eth1")
	curl(`"ipAliases":["10.20.0.4/32"]`, flavor...)
	u.lab("fault", "imds", "--header", "Metadata-Flavor=Amazon", "--times", "1")
	curl("Metadata-Flavor: Amazon", flavor...)
	u.lab("fault", "imds", "--interface", "eth1", "--path", "ip-aliases", "--json", "null")
	curl(`"ipAliases":null`, flavor...)
	u.fails(1, "a network of its own", "attach", "eth2")
	u.lab("down")
}
