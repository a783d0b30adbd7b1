package main

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// What the outside interface can not take leaves by no other one under the address that it came with: whether its
// link is down, it is gone, or it was taken down, and whoever was killed.
func TestNATWithoutItsOutside(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(t *testing.T, l egressLab, out, in *kept){
		"link down, and nobody keeps them": func(t *testing.T, l egressLab, out, in *kept) {
			slain(t, out, in)
			ip(t, l.Cloud, "link set eth2 down")
		},
		"its routes are gone, and nobody keeps them": func(t *testing.T, l egressLab, out, in *kept) {
			slain(t, out, in)
			ip(t, l.Cloud, "route flush table 10001")
		},
		"its rules are gone, and nobody keeps them": func(t *testing.T, l egressLab, out, in *kept) {
			slain(t, out, in)
			ip(t, l.Cloud, "rule del pref 30020")
			ip(t, l.Cloud, "rule del pref 30010")
		},
		"unplugged, and nobody keeps them": func(t *testing.T, l egressLab, out, in *kept) {
			slain(t, out, in)
			must(t, l.Detach("eth2"))
		},
		"unplugged": func(t *testing.T, l egressLab, _, _ *kept) { must(t, l.Detach("eth2")) },
		"taken down, and the inside is killed": func(t *testing.T, l egressLab, _, in *kept) {
			slain(t, in)
			l.ec2net(t, exitOK, "down", "eth2")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := egressLab{egressCloud(t), write(t, "[nat]\nfrom = [\"10.0.3.0/24\"]\nout = \"eth2\"\n")}
			test, err := l.AddPeer("test", addr("10.0.3.200"))
			must(t, err)
			for _, iface := range []string{"eth0", "eth2", "eth3"} { // the cloud would drop what shall not leave
				must(t, l.Forward(iface, true))
			}
			must(t, l.AddRoute(lab.Route{Subnet: "subnet-c", Prefix: netip.MustParsePrefix("0.0.0.0/0"), NextHop: addr("10.0.3.37")}))
			before := world(t, l.Cloud)
			out, in := l.keep(t, "eth2"), l.keep(t, "eth3")
			eventually(t, hang, "forwarding", func() bool { return forwarding(t, l.Cloud, "eth2", "eth3") == "1 1" })
			reaches(t, test, lab.ClientIP, lab.Ping{})
			wire, err := l.Capture("eth0")
			must(t, err)
			inside, err := l.Capture("eth3")
			must(t, err)
			harm(t, l, out, in)
			from := []func(lab.Packet) bool{lab.From(addr("10.0.3.200")), lab.Proto(unix.IPPROTO_ICMP)}
			for range 5 {
				_, err := test.Ping(t.Context(), lab.ClientIP, lab.Ping{Timeout: 200 * time.Millisecond})
				if err == nil {
					t.Error("it answers")
				}
			}
			eventually(t, hang, "all five arrive", func() bool { return len(inside.Packets(from...)) >= 5 })
			if list := wire.Packets(from...); len(list) > 0 {
				t.Errorf("%d packets left by eth0 under the address that they came with; rules:\n%s", len(list), ip(t, l.Cloud, "rule"))
			}
			l.ec2net(t, exitOK, "down", "eth3")
			if got := forwarding(t, l.Cloud, "eth3"); got != "0" {
				t.Errorf("forwarding after down: %s", got)
			}
			if name == "taken down, and the inside is killed" {
				unchanged(t, l.Cloud, before, "down")
			}
		})
	}
}

// slain ends processes as a crash does.
func slain(t *testing.T, list ...*kept) {
	t.Helper()
	for _, k := range list {
		must(t, k.Process.Signal(syscall.SIGKILL))
		<-k.ended
	}
}
