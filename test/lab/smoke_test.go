package lab

import (
	"context"
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	for range 3 {
		t0 := time.Now()
		c, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Log("new", time.Since(t0))
		out, err := c.Instance().Command(context.Background(), "sh", "-c", "ip a; ip rule; ip route; ls /sys/class/net /run; pwd; sysctl net.ipv4.ping_group_range; curl -s -m2 -i http://169.254.169.254/latest/").CombinedOutput()
		t.Log(string(out), err)
		out, err = c.Fabric().Command(context.Background(), "sh", "-c", "ip a; ip route; nft list ruleset").CombinedOutput()
		t.Log(string(out), err)
		for _, a := range []any{EIP1, EIP2} {
			_ = a
		}
		d, err := c.Client().Ping(context.Background(), EIP1, Ping{})
		t.Log(d, err)
		d, err = c.Client().Ping(context.Background(), EIP2, Ping{Timeout: 100 * time.Millisecond})
		t.Log(d, err)
		t0 = time.Now()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		t.Log("close", time.Since(t0))
	}
}
