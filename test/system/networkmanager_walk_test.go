//go:build system

package system

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
)

// What happens to NetworkManager and to the unit of the primary interface, one after the other in any order. A
// profile that was taken down is activated again by NetworkManager's next start.
var nmThings = []string{
	"nmcli connection down eth0", "nmcli connection up eth0", "nmcli device reapply eth0", "nmcli device disconnect eth0",
	"systemctl restart NetworkManager", "systemctl kill --signal=KILL NetworkManager", "systemctl stop NetworkManager; systemctl start NetworkManager",
	"systemctl restart ec2net-ifup@eth0", "systemctl stop ec2net-ifup@eth0", "systemctl start ec2net-ifup@eth0", "systemctl kill --signal=KILL ec2net-ifup@eth0",
	"systemctl stop ec2net-ifup@eth0; systemctl restart NetworkManager; systemctl start ec2net-ifup@eth0",
}

// NetworkManager has a profile for each interface, which goes down and up, is applied again, and is started anew with
// it, while the unit is restarted and killed in between. NetworkManager never takes eth0 for one that somebody else has
// configured, on account of what ec2net put there; while both have it, every address answers. EC2NET_WALK says for how
// long, EC2NET_SEED repeats one.
func TestNetworkManagerWalk(t *testing.T) {
	t.Parallel()
	long, seed := 15*time.Second, uint64(time.Now().UnixNano())
	if d, err := time.ParseDuration(os.Getenv("EC2NET_WALK")); err == nil {
		long = d
	}
	if n, err := strconv.ParseUint(os.Getenv("EC2NET_SEED"), 10, 64); err == nil {
		seed = n
	}
	onEach(t, func(t *testing.T, suite string) {
		t.Logf("EC2NET_SEED=%d", seed)
		rnd := rand.New(rand.NewPCG(seed, seed))
		m := start(t, options{suite: suite, unmanaged: true, cloud: lab.Config{Interfaces: twoInterfaces()},
			files: with(renamed(second()), with(networkManager().files, wanted("NetworkManager.service")))})
		m.settled("it has booted")
		for end := time.Now().Add(long); time.Now().Before(end); {
			do := nmThings[rnd.IntN(len(nmThings))]
			m.try("systemctl", "reset-failed", "NetworkManager", "ec2net-ifup@eth0") // how often they start is not what is tried here
			t.Logf("%s %s", do, strings.TrimSpace(m.try("sh", "-c", do)))            // what is not active can not be taken down
			m.settled(do)
		}
		m.run("systemctl", "restart", "ec2net-ifup@eth0")
		m.run("nmcli", "connection", "up", "eth0")
		m.settled("the profile is activated at last")
		m.answers(lab.EIP1, limit)
	})
}

// settled waits until NetworkManager either has eth0 or has let it go; and while it has it and the unit runs, until
// every address answers.
func (m *machine) settled(after string) {
	m.t.Helper()
	var state string
	m.until(limit, func() string {
		return "after " + after + " NetworkManager has eth0 or has let it go: " + state + m.try("ip", "addr")
	}, func() bool {
		state = strings.TrimSpace(m.nm("eth0"))
		return state == "100 (connected)" || state == "30 (disconnected)"
	})
	if state != "100 (connected)" || m.unit("ec2net-ifup@eth0.service", "ActiveState") != "active" {
		return // the routes went with the address, and nobody puts them back
	}
	for _, eip := range m.cloud.Interfaces()[0].EIPs {
		m.answers(eip, limit)
	}
}
