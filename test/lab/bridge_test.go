package lab

import (
	"io"
	"net/netip"
	"testing"
	"time"
)

// What Docker gives its users: containers get out with the host's address, see each other, and a published
// port leads in, in both families.
func TestBridge(t *testing.T) {
	eth0 := Eth0()
	eth0.Addrs6 = []netip.Addr{netip.MustParseAddr("2001:db8:ec2::29")}
	c := newCloud(t, Config{Interfaces: []Interface{eth0}})
	b, err := c.Instance().Bridge("docker0", netip.MustParsePrefix("172.17.0.0/16"), netip.MustParsePrefix("fd00:17::/64"))
	must(t, err)
	one, err := b.Container("one")
	must(t, err)
	two, err := b.Container("two")
	must(t, err)
	for i, want := range []string{"172.17.0.2 fd00:17::2", "172.17.0.3 fd00:17::3"} {
		box := []*Container{one, two}[i]
		if got := box.Addrs[0].String() + " " + box.Addrs[1].String(); got != want {
			t.Errorf("%s has %s, want %s", box.Name, got, want)
		}
	}
	for _, a := range two.Addrs {
		if _, err := one.Ping(t.Context(), a, Ping{Tries: 3}); err != nil {
			t.Errorf("between containers: %v", err)
		}
	}
	for i, client := range []netip.Addr{ClientIP, ClientIP6} {
		host := []netip.Addr{netip.MustParseAddr("10.0.0.29"), eth0.Addrs6[0]}[i]
		public := []netip.Addr{EIP1, eth0.Addrs6[0]}[i]
		seen := listens(t, c.Client(), netip.AddrPortFrom(client, 0))
		conn, err := one.Dial(t.Context(), "tcp", seen.addr)
		must(t, err)
		conn.Close()
		if from := <-seen.from; from != public {
			t.Errorf("the client sees %s, want %s (of %s)", from, public, host)
		}
		echo, err := two.Echo(netip.AddrPortFrom(two.Addrs[i], 80))
		must(t, err)
		must(t, b.Publish(8080, echo.Addr))
		in, err := c.Client().Dial(t.Context(), "tcp", netip.AddrPortFrom(public, 8080).String())
		must(t, err)
		_ = in.SetDeadline(time.Now().Add(hang))
		_, err = in.Write([]byte("hello"))
		must(t, err)
		got := make([]byte, 5)
		if _, err := io.ReadFull(in, got); err != nil || string(got) != "hello" {
			t.Errorf("the published port answers %q: %v", got, err)
		}
		in.Close()
	}
}

// listening is a server that tells where a connection came from.
type listening struct {
	addr string
	from chan netip.Addr
}

func listens(t *testing.T, n *Node, at netip.AddrPort) listening {
	t.Helper()
	l, err := n.Listen("tcp", at)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	s := listening{l.Addr().String(), make(chan netip.Addr, 1)}
	go func() {
		conn, err := l.Accept()
		if err != nil {
			close(s.from)
			return
		}
		defer conn.Close()
		p, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
		s.from <- p.Addr()
	}()
	return s
}
