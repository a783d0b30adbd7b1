package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// matrixInterface is interface i of the matrix: three IPv4 and two IPv6 addresses and a block of each family.
func matrixInterface(i int, four, six string) lab.Interface {
	list := func(format string, ns ...int) (out []netip.Addr) {
		for _, n := range ns {
			out = append(out, addr(fmt.Sprintf(format, n)))
		}
		return out
	}
	return lab.Interface{
		Name:      fmt.Sprintf("eth%d", i),
		Addrs4:    list(four+"%d", 30+i, 20+i, 10+i), // the primary is numerically the last
		Addrs6:    list(six+":%d", 30+i, 20+i),
		Prefixes4: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("%s%d/28", four, 64+16*i))},
		Prefixes6: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("%s%x::/80", six, 0xa0+i))},
	}
}

// matrixCloud has two interfaces in each of two subnets, and a third subnet without any.
func matrixCloud() lab.Config {
	prefix := netip.MustParsePrefix
	return lab.Config{
		RPFilter: 1,
		Subnets: []lab.Subnet{
			{ID: "subnet-a", CIDR: prefix("10.0.0.0/24"), IPv6: prefix("2001:db8:ec2::/64")},
			{ID: "subnet-c", CIDR: prefix("10.0.2.0/24"), IPv6: prefix("2001:db8:ec2:2::/64")},
			{ID: "subnet-d", CIDR: prefix("10.0.3.0/24"), IPv6: prefix("2001:db8:ec2:3::/64")},
		},
		Interfaces: []lab.Interface{
			matrixInterface(0, "10.0.0.", "2001:db8:ec2:0:"), matrixInterface(1, "10.0.2.", "2001:db8:ec2:2:"),
			matrixInterface(2, "10.0.0.", "2001:db8:ec2:0:"), matrixInterface(3, "10.0.2.", "2001:db8:ec2:2:"),
		},
	}
}

// kinds are the places that packets go to, an address of each family.
var kinds = map[string][2]string{
	"subnet a":       {"10.0.0.200", "2001:db8:ec2::200"},
	"subnet c":       {"10.0.2.200", "2001:db8:ec2:2::200"},
	"another subnet": {"10.0.3.200", "2001:db8:ec2:3::200"},
	"internet":       {"198.51.100.146", "2001:db8:ffff::146"},
	"docker0":        {"172.17.0.2", "fd00:17::2"},
	"vpn0":           {"172.31.9.9", "fd00:31::9"},
}

// For each source address and each kind of peer, the interface that a packet leaves by, on the wire.
func TestMatrix(t *testing.T) {
	t.Parallel()
	c := cloud(t, matrixCloud())
	for kind, name := range map[string]string{"subnet a": "a", "subnet c": "c", "another subnet": "d"} {
		_, err := c.AddPeer("peer-"+name, addr(kinds[kind][0]), addr(kinds[kind][1]))
		must(t, err)
	}
	neighbours(t, c)
	configure(t, c, `prefixes = "local"`)
	captures := map[string]*lab.Capture{}
	for _, iface := range c.Interfaces() {
		advertise(t, c, iface.Name, lab.Advert{})
		ec2net(t, c, exitOK, "up", iface.Name)
		ec2net(t, c, exitOK, "up", "eth0") // as its unit would, when another interface comes
		capture, err := c.Capture(iface.Name)
		must(t, err)
		captures[iface.Name] = capture
	}
	local := listenLocal(t, c, "docker0", "vpn0")
	leave(t, c, shots(c, kinds), captures, local)
}

// leave sends a datagram for each pair, and sees on the wire that it leaves by its device and by no other.
func leave(t *testing.T, c *lab.Cloud, sent map[int]shot, captures map[string]*lab.Capture, local func(context.Context, string, uint16) bool) {
	t.Helper()
	dropped, err := c.SourceCheck() // while an interface is being set up, the kernel may refuse a DHCP answer (ICMP) before its rules are there
	must(t, err)
	for port, s := range sent {
		must(t, c.Instance().Do(func() error { return shoot(s.src, netip.AddrPortFrom(s.dst, uint16(port))) }))
	}
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	for port, s := range sent {
		seen := func(p lab.Packet) bool {
			return p.Proto == unix.IPPROTO_UDP && p.DstPort == uint16(port) && p.Src == s.src
		}
		if capture := captures[s.by]; capture != nil {
			if _, err := capture.Wait(ctx, lab.FromInterface, seen); err != nil {
				t.Errorf("%s to %s (%s) did not leave by %s", s.src, s.dst, s.kind, s.by)
			}
		} else if !local(ctx, s.by, uint16(port)) {
			t.Errorf("%s to %s did not leave by %s", s.src, s.dst, s.by)
		}
		for iface, capture := range captures {
			if iface != s.by && len(capture.Packets(lab.FromInterface, seen)) > 0 {
				t.Errorf("%s to %s (%s) left by %s, want %s", s.src, s.dst, s.kind, iface, s.by)
			}
		}
	}
	drops, err := c.SourceCheck()
	if err != nil || !slices.Equal(drops, dropped) {
		t.Errorf("the cloud dropped %v, before that %v (%v)", drops, dropped, err)
	}
	explained(t, c, sent)
	t.Logf("%d pairs of source and destination", len(sent))
}

// shot is a datagram and the device that it has to leave by.
type shot struct {
	src, dst netip.Addr
	kind, by string
}

// shots are all pairs, by UDP port. A place may be of one family only.
func shots(c *lab.Cloud, kinds map[string][2]string) map[int]shot {
	out := map[int]shot{}
	for _, iface := range c.Interfaces() {
		sources := slices.Concat(iface.Addrs4, iface.Addrs6)
		for _, p := range slices.Concat(iface.Prefixes4, iface.Prefixes6) {
			sources = append(sources, p.Addr().Next())
		}
		for _, src := range sources {
			for kind, dst := range kinds {
				to := dst[0]
				if src.Is6() {
					to = dst[1]
				}
				if to == "" {
					continue
				}
				s := shot{src, addr(to), kind, iface.Name}
				if strings.HasSuffix(kind, "0") { // a device of the host
					s.by = kind
				}
				out[30000+len(out)] = s
			}
		}
	}
	return out
}

// shoot sends one datagram from the calling thread's host. IPv6 lets a socket take an address of a
// block only when it is told to.
func shoot(src netip.Addr, dst netip.AddrPort) error {
	family, level, free := unix.AF_INET, unix.IPPROTO_IP, unix.IP_FREEBIND
	var from, to unix.Sockaddr
	if src.Is6() {
		family, level, free = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND
		from, to = &unix.SockaddrInet6{Addr: src.As16()}, &unix.SockaddrInet6{Addr: dst.Addr().As16(), Port: int(dst.Port())}
	} else {
		from, to = &unix.SockaddrInet4{Addr: src.As4()}, &unix.SockaddrInet4{Addr: dst.Addr().As4(), Port: int(dst.Port())}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, level, free, 1); err != nil {
		return fmt.Errorf("free bind: %w", err)
	}
	if err := unix.Bind(fd, from); err != nil {
		return fmt.Errorf("bind %s: %w", src, err)
	}
	if err := unix.Sendto(fd, []byte("x"), 0, to); err != nil {
		return fmt.Errorf("send from %s to %s: %w", src, dst, err)
	}
	return nil
}

// neighbours gives the instance a bridge with a container's cable, and a cable with the route of a VPN.
func neighbours(t *testing.T, c *lab.Cloud) {
	t.Helper()
	for _, cmd := range []string{
		"link add docker0 type bridge", "link add box0 type veth peer name box1", "link set box0 master docker0 up", "link set box1 up",
		"link set docker0 up", "addr add 172.17.0.1/16 dev docker0", "addr add fd00:17::1/64 dev docker0 nodad",
		"link add vpn0 type veth peer name vpn1", "link set vpn0 up", "link set vpn1 up",
		"route add 172.31.0.0/16 dev vpn0", "route add fd00:31::/64 dev vpn0",
	} {
		ip(t, c, cmd)
	}
	for _, dev := range []string{"docker0", "vpn0"} {
		for _, dst := range kinds[dev] {
			ip(t, c, fmt.Sprintf("neigh add %s lladdr 02:00:00:00:00:99 dev %s nud permanent", dst, dev))
		}
	}
}

// listenLocal watches devices of the host. The function that it returns waits for a datagram to a port.
func listenLocal(t *testing.T, c *lab.Cloud, devs ...string) func(ctx context.Context, dev string, port uint16) bool {
	t.Helper()
	seen := map[string]*lab.Log{}
	for _, dev := range devs {
		seen[dev] = &lab.Log{}
		cmd := c.Instance().Command(t.Context(), "tcpdump", "-i", dev, "-n", "-l", "-U", "--immediate-mode", "udp")
		cmd.Stdout, cmd.Stderr = seen[dev], seen[dev]
		must(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		eventually(t, hang, "tcpdump", func() bool { return strings.Contains(seen[dev].String(), "listening on") })
	}
	return func(ctx context.Context, dev string, port uint16) bool {
		for ctx.Err() == nil {
			if strings.Contains(seen[dev].String(), fmt.Sprintf(".%d: UDP", port)) {
				return true
			}
			time.Sleep(5 * time.Millisecond) // tcpdump is another process
		}
		return false
	}
}
