package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// A lab of Azure by command: its metadata, leases and interfaces, and what only it has.
func TestAzure(t *testing.T) {
	u := asMe(t)
	u.contains("is up", "up", "--cloud", "azure")
	u.contains("2 of 2 answered", "ping", "client", "203.0.113.70")
	u.contains("eth1\neth2\neth3\nlo", "exec", "instance", "--", "ls", "/sys/class/net")
	document := func(want string) {
		t.Helper()
		u.contains(want, "exec", "instance", "--", "curl", "-s", "-H", "Metadata: true",
			"http://169.254.169.254/metadata/instance/network?api-version=2021-02-01")
	}
	u.contains("0 requests a second", "fault", "limit", "0")
	document(`"privateIpAddress":"172.22.5.4","publicIpAddress":"203.0.113.166"`)
	u.lab("fault", "imds", "--interface", "eth2", "--json", "null")
	document(`},null,{`)
	u.contains(`imds:1  {"path":"**","interface":"000D3A000101","json":"null"}`, "fault", "list")
	u.lab("fault", "clear")
	u.lab("fault", "imds", "--path", "instance/network/interface", "--reverse", "--times", "1")
	document(`{"interface":[{"ipv4":{"ipAddress":[{"privateIpAddress":"172.22.5.132"`)
	u.lab("fault", "versions", "2017-08-01")
	document(`"newest-versions":["2017-08-01"]`)

	u.contains("eth0 is attached: nic-", "attach") // the first free name
	u.contains("172.22.5.77", "attach", "eth5", "--subnet", "subnet1", "--address", "172.22.5.77", "--forwarding")
	u.contains("eth2 has 172.22.5.6", "assign", "eth2")
	u.contains("testvm is there", "peer", "testvm", "172.22.5.140")
	u.contains("1 of 1 answered", "ping", "testvm", "198.51.100.146", "-c", "1")
	u.contains("subnet3: 0.0.0.0/0 via 172.22.5.132", "udr", "add", "subnet3", "0.0.0.0/0", "172.22.5.132")
	u.fails(1, "0 of 1 answered", "ping", "testvm", "198.51.100.146", "-c", "1", "-W", "100ms")
	u.contains("subnet3: 0.0.0.0/0 via 172.22.5.132", "udr", "list")
	u.fails(1, "not in the VPC", "udr", "add", "subnet2", "0.0.0.0/0", "10.0.0.1")
	u.contains("forwarding of eth3 is off", "forward", "eth3", "off")

	u.contains("eth2 has the VF enP1s1", "vf", "eth2", "attach")
	u.contains("under netvsc5000", "vf", "eth2", "enslave")
	u.fails(1, "it has enP1s1", "vf", "eth2", "attach")
	shown := u.lab("status")
	for _, want := range []string{"azure, up since", "eth2 has the VF enP1s1, under netvsc5000", "subnet3: 0.0.0.0/0 via 172.22.5.132"} {
		if !strings.Contains(shown, want) {
			t.Errorf("status has no %q:\n%s", want, shown)
		}
	}
	u.contains("eth2 has the VF enP1s1", "vf", "eth2", "free")
	u.contains("eth2 has no VF", "vf", "eth2", "detach")
	u.contains("subnet3 has no route to 0.0.0.0/0", "udr", "delete", "subnet3", "0.0.0.0/0")
	u.lab("down")
}

// A probe says who answered, and what came of it; a restart leaves the host's files and the cloud's interfaces.
func TestProbeAndReboot(t *testing.T) {
	u := asMe(t)
	u.lab("up", "--cloud", "azure", "--rp-filter", "0")
	u.fails(1, "172.22.5.68:9: answered by eth1\n", "probe", "172.22.5.68:9") // nobody listens: a refusal
	u.fails(1, "172.22.5.4:9: no answer", "probe", "172.22.5.4:9")
	u.fails(1, "no interface has the address", "probe", "172.22.5.99:9")
	u.lab("exec", "instance", "--", "sh", "-c", "ip addr add 172.22.5.4/26 dev eth2; ip link set eth2 up; echo kept >/etc/kept")
	u.fails(1, "172.22.5.4:9: answered by eth1", "probe", "172.22.5.4:9")
	u.contains("the instance is up again", "reboot")
	u.contains("kept", "exec", "instance", "--", "cat", "/etc/kept")
	if got := u.lab("exec", "instance", "--", "ip", "-4", "-br", "addr"); strings.Contains(got, "172.22.5.4") {
		t.Errorf("after the restart:\n%s", got)
	}
	u.contains("1 of 1 answered", "ping", "client", "203.0.113.70", "-c", "1")
	var r labReport
	if err := json.Unmarshal([]byte(u.lab("status", "--json")), &r); err != nil || r.Cloud != "azure" || len(r.Hosts[0].Interfaces) != 3 {
		t.Errorf("status: %+v %v", r, err)
	}
	u.lab("down")
}
