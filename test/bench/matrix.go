package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"ec2net/test/lab"
)

// The packets of one run: each is answered before the next is sent.
const roundTrips = 3000

// lastEIP is the elastic IP of the last interface.
var lastEIP = netip.MustParseAddr("203.0.113.200")

// newMatrix is a cloud whose instance has a primary interface with one address of each family, and the interfaces
// of apply.
func (o options) newMatrix() (*bed, error) {
	four0, six0 := subnetsOf(0)
	cfg := lab.Config{
		Subnets:    []lab.Subnet{{ID: "s0", CIDR: four0, IPv6: six0}},
		Interfaces: []lab.Interface{lab.Eth0()},
	}
	cfg.Interfaces[0].Addrs6 = within(six0, 1)
	for n := 1; n <= manyInterfaces; n++ {
		four, six := subnetsOf(n)
		id := fmt.Sprintf("s%d", n)
		cfg.Subnets = append(cfg.Subnets, lab.Subnet{ID: id, CIDR: four, IPv6: six})
		cfg.Interfaces = append(cfg.Interfaces, lab.Interface{Name: nameOf(n), Subnet: id, Addrs4: within(four, manyAddrs), Addrs6: within(six, manyAddrs)})
	}
	last := &cfg.Interfaces[manyInterfaces]
	last.EIPs = map[netip.Addr]netip.Addr{last.Addrs4[manyAddrs-1]: lastEIP}
	return o.newBedOf(cfg)
}

// matrix measures what a host with many interfaces and addresses pays all the time: for each packet, whose
// lookups walk down the list of rules, and for each refresh.
func (o options) matrix(ctx context.Context) (p Part, err error) {
	p = Part{
		Title: fmt.Sprintf("a host of %d interfaces × %d addresses of each family", manyInterfaces, manyAddrs),
		Floor: "the primary interface's address on the same host without any rule; " + curlFloor,
	}
	b, err := o.newMatrix()
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	var packets [2]perPacket
	var r refreshes
	for range o.runs {
		if err := b.onePacketRun(ctx, &packets); err != nil {
			return p, err
		}
		if err := b.oneRefresh(ctx, &r); err != nil {
			return p, err
		}
	}
	p.Rows = append(packets[0].rows("IPv4"), packets[1].rows("IPv6")...)
	p.Rows = append(p.Rows, r.matrixRows()...)
	return p, nil
}

func (b *bed) oneRefresh(ctx context.Context, r *refreshes) error {
	w, err := watchWrites(b.Instance()) // after the many changes that made the host
	if err != nil {
		return err
	}
	defer w.close()
	return r.add(ctx, b, w, func() (cost, error) { return b.ec2net(ctx, "up", iface) })
}

// perPacket are round trips of one family, in µs each.
type perPacket struct{ bare, alone, first, last series }

func (s perPacket) rows(family string) []Row {
	return []Row{
		row(family+" round trip, the primary's address, its own rules too", "µs", s.first).beside(s.bare),
		row(family+" round trip, the primary's address, the others' rules", "µs", s.alone).beside(s.bare),
		row(family+" round trip, the last address of the last interface", "µs", s.last).beside(s.bare),
	}
}

// matrixRows of a refresh at this size: its requests are not those of an interface with one address.
func (r refreshes) matrixRows() []Row {
	return []Row{
		row("refresh without news, by ec2net up: time", "ms", r.wall).beside(r.floorWall),
		row("its CPU", "ms", r.cpu).beside(r.floorCPU),
		row("its metadata requests", "", r.requests).most(12),
		row("its changes of the kernel", "", r.writes).most(0),
	}
}

// onePacketRun measures without rules, with those of all interfaces but the primary, and with all.
func (b *bed) onePacketRun(ctx context.Context, s *[2]perPacket) error {
	if err := b.rules(ctx, func(n int) bool { return n <= 3 }, flush); err != nil {
		return err
	}
	if err := b.roundTrips(ctx, func(i int) *series { return &s[i].bare }, nil); err != nil {
		return fmt.Errorf("without rules: %w", err)
	}
	for n := 1; n <= manyInterfaces; n++ {
		if _, err := b.ec2net(ctx, "up", nameOf(n)); err != nil {
			return err
		}
	}
	if err := b.rules(ctx, func(n int) bool { return n > manyInterfaces*(manyAddrs+1) }, ""); err != nil {
		return err
	}
	last := func(i int) *series { return &s[i].last }
	if err := b.roundTrips(ctx, func(i int) *series { return &s[i].alone }, last); err != nil {
		return fmt.Errorf("with the others' rules: %w", err)
	}
	if _, err := b.ec2net(ctx, "up", "eth0"); err != nil {
		return err
	}
	return b.roundTrips(ctx, func(i int) *series { return &s[i].first }, nil)
}

// rules runs commands for both families, and wants a number of rules then.
func (b *bed) rules(ctx context.Context, right func(n int) bool, commands string) error {
	for _, family := range []string{"-4", "-6"} {
		c, err := b.run(ctx, commands+"rule show\n", "ip", family, "-batch", "-")
		if err != nil {
			return err
		}
		if n := strings.Count(c.out, "\n"); !right(n) {
			return fmt.Errorf("ip %s rule: %d rules are not what is to be measured", family, n)
		}
	}
	return nil
}

// roundTrips goes to the primary's address of each family, and where last is set to the last interface's.
func (b *bed) roundTrips(ctx context.Context, first, last func(family int) *series) error {
	ways, err := b.waysTo("eth0", 0, lab.EIP1, first)
	if err == nil && last != nil {
		var more []packetWay
		more, err = b.waysTo(nameOf(manyInterfaces), manyAddrs-1, lastEIP, last)
		ways = append(ways, more...)
	}
	if err != nil {
		return err
	}
	for _, w := range ways {
		took, err := b.pingPong(ctx, w.private, w.public)
		if err != nil {
			return err
		}
		w.runs.add(float64(took) / float64(time.Microsecond))
	}
	return nil
}

// packetWay is an address of the instance, and what the client calls it.
type packetWay struct {
	private, public netip.Addr
	runs            *series
}

func (b *bed) waysTo(name string, i int, eip netip.Addr, runs func(family int) *series) ([]packetWay, error) {
	k, err := b.Interface(name)
	if err != nil {
		return nil, err
	}
	return []packetWay{{k.Addrs4[i], eip, runs(0)}, {k.Addrs6[i], k.Addrs6[i], runs(1)}}, nil
}

// pingPong is the mean time of a round trip from the client on the internet. The instance's socket is
// not connected, so that each answer is routed anew, as a name server's is.
func (b *bed) pingPong(ctx context.Context, private, public netip.Addr) (time.Duration, error) {
	server, err := b.Instance().ListenPacket("udp", netip.AddrPortFrom(private, 0))
	if err != nil {
		return 0, err
	}
	defer server.Close()
	go echo(server)
	port := uint16(server.LocalAddr().(*net.UDPAddr).Port)
	client, err := b.Client().Dial(ctx, "udp", netip.AddrPortFrom(public, port).String())
	if err != nil {
		return 0, err
	}
	defer client.Close()
	if err := trips(client, roundTrips/10); err != nil { // neighbours are found, and caches warm
		return 0, err
	}
	begun := time.Now()
	err = trips(client, roundTrips)
	return time.Since(begun) / roundTrips, err
}

// echo sends back what comes, until the socket is closed.
func echo(s net.PacketConn) {
	buf := make([]byte, 64)
	for {
		n, from, err := s.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = s.WriteTo(buf[:n], from)
	}
}

// trips fails when an answer does not come: then it is not the way that is measured.
func trips(c net.Conn, count int) error {
	buf := make([]byte, 64)
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	for range count {
		if _, err := c.Write(buf[:32]); err != nil {
			return fmt.Errorf("send to %s: %w", c.RemoteAddr(), err)
		}
		if _, err := c.Read(buf); err != nil {
			return fmt.Errorf("the answer of %s: %w", c.RemoteAddr(), err)
		}
	}
	return nil
}
