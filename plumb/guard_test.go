package plumb

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netns"

	"ec2net/test/stock"
)

// neighbour is another host: a process in a network namespace of its own, which ends with the test.
type neighbour struct {
	t   testing.TB
	pid int
}

func newNeighbour(t testing.TB) neighbour {
	t.Helper()
	c := exec.Command("sh", "-c", "echo there; exec cat")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = c.Wait()
	})
	ns, err := netns.GetFromPid(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := in(ns, stock.Sysctls); err != nil {
		t.Fatal(err)
	}
	return neighbour{t, c.Process.Pid}
}

// run starts a program on the neighbour.
func (n neighbour) run(program string) (string, error) {
	return run("nsenter", fmt.Sprintf("-t %d -n %s", n.pid, program))
}

func (n neighbour) ip(args ...string) {
	n.t.Helper()
	for _, a := range args {
		if out, err := n.run("ip " + a); err != nil {
			n.t.Fatalf("neighbour: ip %s: %v\n%s", a, err, out)
		}
	}
}

// takes gives the neighbour one end of a pair, or any other device.
func (n neighbour) takes(devs ...string) {
	n.t.Helper()
	for _, d := range devs {
		ip(n.t, fmt.Sprintf("link set %s netns %d", d, n.pid))
		n.ip("link set " + d + " up")
	}
}

const ping = "ping -n -c 1 -W 2 "

func route(t testing.TB, get string) string {
	t.Helper()
	out, err := run("ip", "route get "+get)
	if err != nil {
		return err.Error() + ": " + out
	}
	return strings.TrimSpace(strings.SplitN(out, "\n", 2)[0])
}

// TestGuardReachesContainers: from eth1's address a container behind a local bridge is reached
// through the bridge, and it reaches eth1's address (amazon-ec2-net-utils #97).
func TestGuardReachesContainers(t *testing.T) {
	host(t)
	container := newNeighbour(t)
	batch(t, `
link add docker0 type bridge
link set docker0 addrgenmode eui64
addr add 172.17.0.1/16 dev docker0
addr add fd17::1/64 dev docker0 nodad
link set docker0 up
link add c0 address 02:00:00:00:17:01 type veth peer name c1
link set c0 master docker0 up
`)
	container.takes("c1")
	container.ip("addr add 172.17.0.2/16 dev c1", "addr add fd17::2/64 dev c1 nodad", "route add default via 172.17.0.1", "-6 route add default via fd17::1")
	reconcile(t, open(t, "eth1"), dual())
	for from, to := range map[string]string{"10.0.2.37": "172.17.0.2", "2001:db8:0:2::37": "fd17::2"} {
		if out, err := run("ping", "-n -c 3 -i 0.2 -W 2 -I "+from+" "+to); err != nil {
			t.Errorf("from %s the container is not reached: %v\n%s", from, err, out)
		}
		if out, err := container.run(ping + from); err != nil {
			t.Errorf("the container does not reach %s: %v\n%s", from, err, out)
		}
	}
}

// TestGuardVerdicts: what main says wins, unless it is a default route or leads through an interface of
// the cloud (amazon-ec2-net-utils #174, cloud-init #5249).
func TestGuardVerdicts(t *testing.T) {
	host(t)
	batch(t, `
link add virbr0 type bridge
addr add 192.168.122.1/24 dev virbr0
link set virbr0 up
route add 192.0.2.0/24 via 192.168.122.9 dev virbr0
route add 198.51.100.0/24 via 10.0.0.9 dev eth0
link set eth1 up
`)
	l := open(t, "eth1")
	reconcile(t, l, eth1())
	ip(t, "route add 203.0.113.0/24 via 10.0.2.9 dev eth1")
	reconcile(t, l, eth1())
	for dst, want := range map[string]string{
		"192.0.2.7":    "via 192.168.122.9 dev virbr0", // static, through a device that is not the cloud's
		"203.0.113.7":  "via 10.0.2.9 dev eth1",        // static, through eth1 itself
		"198.51.100.7": "via 10.0.2.1 dev eth1",        // static through eth0: does not capture eth1's answers
		"10.0.0.77":    "via 10.0.2.1 dev eth1",        // eth0's subnet
		"10.0.2.200":   "from 10.0.2.37 dev eth1",      // a peer in the subnet
		"100.100.1.1":  "via 10.0.2.1 dev eth1",        // the internet
	} {
		if got := route(t, dst+" from 10.0.2.37"); !strings.Contains(got, want) {
			t.Errorf("10.0.2.37 → %s\n got %s\nwant %s", dst, got, want)
		}
	}
	for dst, want := range map[string]string{"198.51.100.7": "via 10.0.0.9 dev eth0", "100.100.1.1": "via 10.0.0.1 dev eth0", "10.0.2.200": "dev eth1"} {
		if got := route(t, dst); !strings.Contains(got, want) {
			t.Errorf("the host's own packets to %s\n got %s\nwant %s", dst, got, want)
		}
	}
	ip(t, "route del 203.0.113.0/24")
	reconcile(t, l, eth1())
	if got := route(t, "203.0.113.7 from 10.0.2.37"); !strings.Contains(got, "via 10.0.2.1 dev eth1") {
		t.Errorf("the copy of a static route stays when the route goes: %s", got)
	}
}

// TestBothInterfacesInOneSubnet: a peer in the subnet is answered by the interface that it asked, under the
// strict filter, although main knows only one way there. Each interface has a wire of its own, so that an
// answer by the wrong one does not arrive.
func TestBothInterfacesInOneSubnet(t *testing.T) {
	hostLike(t, "10.0.2.29/24", "10.0.2.1")
	sysctl(t, "ipv4/conf/all/rp_filter", "1")
	sysctl(t, "ipv4/conf/all/arp_ignore", "1")
	reconcile(t, open(t, "eth1"), eth1())
	for dev, addr := range map[string]string{"gw0": "10.0.2.29", "gw1": "10.0.2.37"} {
		peer := newNeighbour(t)
		peer.takes(dev)
		peer.ip("addr add 10.0.2.200/24 dev " + dev)
		if out, err := peer.run(ping + addr); err != nil {
			t.Errorf("%s, asked by a neighbour on %s, does not answer: %v\n%s", addr, dev, err, out)
		}
	}
}

// TestAnswersToTheInternet with real packets, under each filter: without ec2net none arrives.
func TestAnswersToTheInternet(t *testing.T) {
	for filter, name := range []string{"off", "strict", "loose"} {
		t.Run("rp_filter "+name, func(t *testing.T) {
			host(t)
			sysctl(t, "ipv4/conf/all/rp_filter", fmt.Sprint(filter))
			for _, dev := range []string{"eth0", "eth1"} {
				sysctl(t, "ipv4/conf/"+dev+"/rp_filter", fmt.Sprint(filter))
			}
			gateway := newNeighbour(t)
			gateway.takes("gw1")
			gateway.ip("link set lo up", "addr add 10.0.2.1/24 dev gw1", "addr add 198.51.100.9/32 dev lo")
			batch(t, "link set eth1 up\naddr add 10.0.2.37/24 dev eth1\n")
			if _, err := gateway.run("ping -n -c 1 -W 0.3 -I 198.51.100.9 10.0.2.37"); err == nil {
				t.Fatal("it answers without ec2net: the test proves nothing")
			}
			batch(t, "addr del 10.0.2.37/24 dev eth1\nlink set eth1 down\n")
			reconcile(t, open(t, "eth1"), eth1())
			if out, err := gateway.run("ping -n -c 3 -i 0.2 -W 2 -I 198.51.100.9 10.0.2.37"); err != nil {
				t.Errorf("no answer: %v\n%s", err, out)
			}
		})
	}
}
