package lab

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// A restart takes everything from the instance but its files and what the cloud knows of it.
func TestReboot(t *testing.T) {
	c := newAzure(t)
	old := c.Instance()
	before := c.Interfaces()
	must(t, c.Assign("eth2", netip.MustParseAddr("172.22.5.9")))
	_, err := c.AttachVF("eth2")
	must(t, err)
	must(t, old.Do(func() error { return os.WriteFile("/etc/kept", []byte("yes"), 0o600) }))
	must(t, old.Do(func() error { return os.WriteFile("/run/lost", []byte("yes"), 0o600) }))
	setUp(t, c, "eth2", netip.PrefixFrom(addr4, 26))
	run(t, old, "ip rule add from 172.22.5.4 lookup 101")
	must(t, old.Sysctl("net/ipv4/ip_forward", "1"))
	sleep := old.Command(within(t), "sleep", "60")
	must(t, sleep.Start())

	must(t, c.Reboot())
	if err := sleep.Wait(); err == nil || c.Instance() == old {
		t.Errorf("the process has ended with %v", err)
	}
	n := c.Instance()
	must(t, n.Do(func() error {
		if _, err := os.Stat("/run/lost"); err == nil {
			t.Error("/run is as it was")
		}
		_, err := os.Stat("/etc/kept")
		return err
	}))
	if out := run(t, n, "ip rule"); strings.Contains(out, "101") {
		t.Errorf("the rules are as they were:\n%s", out)
	}
	if out := run(t, n, "ip -4 -br addr"); strings.Contains(out, "172.22.5.4/") || !strings.Contains(out, "172.22.5.68/26") {
		t.Errorf("addresses:\n%s", out)
	}
	if v, err := n.ReadSysctl("net/ipv4/ip_forward"); err != nil || v != "0" {
		t.Errorf("ip_forward is %s %v", v, err)
	}
	alive(t, c.Client(), EIP1)
	after := c.Interfaces()
	if len(after) != 3 || after[1].MAC != before[1].MAC || len(after[1].Addrs4) != 2 || after[0].EIPs[addr68] != EIP1 {
		t.Errorf("interfaces %+v, before %+v", after, before)
	}
	if got := ask(t, n).metadata(200, network); !strings.Contains(got, "172.22.5.9") || len(c.IMDS().Requests(time.Time{})) != 1 {
		t.Errorf("metadata %s", got)
	}
	must(t, c.Reboot())
	alive(t, c.Client(), EIP1)
}
