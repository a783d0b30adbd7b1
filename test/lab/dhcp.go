package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// DHCP is the DHCPv4 server of the VPC, or of Azure's hosts. It gives every interface its primary address and nothing
// else.
type DHCP struct {
	cloud *Cloud
	conn  *ipv4.PacketConn
	udp   net.PacketConn
	raw   int // AF_PACKET socket that answers leave by, because the client has no address yet
	serve sync.WaitGroup
	stop  context.CancelFunc

	mu        sync.Mutex
	faults    []*injectedDHCP
	lastFault int

	log history[DHCPMessage]
}

// DHCPMessage is a message from a client and what came of it.
type DHCPMessage struct {
	Time      time.Time
	Interface string
	Type      string // DISCOVER, REQUEST, …
	State     string // of the client, as RFC 2131 section 4.3.2 tells it from a REQUEST: SELECTING, INIT-REBOOT, RENEWING, REBINDING
	Xid       dhcpv4.TransactionID
	Source    netip.Addr
	Unicast   bool       // sent to the server's address
	Client    netip.Addr // ciaddr
	Requested netip.Addr // option 50
	Server    netip.Addr // option 54
	Secs      int
	Broadcast bool   // flag: answer by broadcast
	Params    []byte // option 55
	Reply     string // OFFER, ACK, NAK or nothing
	Given     netip.Addr
}

func (m DHCPMessage) at() time.Time { return m.Time }

const defaultLease = time.Hour

func startDHCP(c *Cloud) (*DHCP, error) {
	ctx, stop := context.WithCancel(context.Background())
	d := &DHCP{cloud: c, raw: -1, stop: stop}
	if err := d.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the DHCP server: %w", err), d.close())
	}
	d.serve.Add(1)
	go func() {
		defer d.serve.Done()
		d.loop(ctx)
	}()
	return d, nil
}

func (d *DHCP) open() (err error) {
	d.udp, err = d.cloud.fabric.ListenPacket("udp4", netip.AddrPortFrom(netip.IPv4Unspecified(), dhcpv4.ServerPort))
	if err != nil {
		return err
	}
	d.conn = ipv4.NewPacketConn(d.udp)
	if err := d.conn.SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true); err != nil {
		return err
	}
	return d.cloud.fabric.Do(func() error {
		if d.raw, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.SetsockoptInt(d.raw, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1) // see settle
	})
}

// Stop ends the server for good, so that another one can be started in the fabric.
func (d *DHCP) Stop() error {
	err := d.close()
	awaitExec()
	return err
}

func (d *DHCP) close() error {
	d.stop()
	var err error
	if d.udp != nil {
		err = d.udp.Close()
	}
	d.serve.Wait()
	if d.raw >= 0 {
		err = errors.Join(err, unix.Close(d.raw))
	}
	d.udp, d.raw = nil, -1
	return err
}

func (d *DHCP) loop(ctx context.Context) {
	buf := make([]byte, 64<<10)
	for {
		n, cm, from, err := d.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || cm == nil {
			continue
		}
		req, err := dhcpv4.FromBytes(buf[:n])
		if err != nil || req.OpCode != dhcpv4.OpcodeBootRequest {
			continue
		}
		k := d.interfaceAt(cm.IfIndex)
		if k == nil || !slices.Equal(req.ClientHWAddr, k.MAC[:]) {
			continue // a cloud answers only the interface's own MAC
		}
		udp, _ := from.(*net.UDPAddr)
		d.handle(ctx, k, req, udp.AddrPort().Addr().Unmap(), !cm.Dst.Equal(net.IPv4bcast))
	}
}

// interfaceAt finds the interface on a port.
func (d *DHCP) interfaceAt(index int) *iface {
	d.cloud.mu.RLock()
	defer d.cloud.mu.RUnlock()
	for _, k := range d.cloud.ifaces {
		if k.port.index == index {
			frozen := *k
			frozen.Interface = k.clone()
			return &frozen
		}
	}
	return nil
}

// handle answers one message, and remembers it before the answer leaves.
func (d *DHCP) handle(ctx context.Context, k *iface, req *dhcpv4.DHCPv4, source netip.Addr, unicast bool) {
	m := describe(req, source, unicast)
	m.Interface = d.cloud.label(k)
	d.mu.Lock()
	plan := planDHCP(d.faults, k, m)
	d.mu.Unlock()
	answer := plan.answer(req, &m)
	d.log.add(m)
	if answer == nil {
		return
	}
	frame := answerFrame(k, req, answer, plan)
	if plan.delay == 0 {
		d.send(k.port, frame)
		return
	}
	d.serve.Add(1)
	go func() {
		defer d.serve.Done()
		t := time.NewTimer(plan.delay)
		defer t.Stop()
		select {
		case <-t.C:
			d.send(k.port, frame)
		case <-ctx.Done():
		}
	}()
}

// send puts a frame on an interface's cable. The interface may have been unplugged: that is no error.
func (d *DHCP) send(p port, frame []byte) {
	_ = unix.Sendto(d.raw, frame, 0, &unix.SockaddrLinklayer{Ifindex: p.index, Halen: 6})
}

// describe reduces a client's message to what the lab keeps.
func describe(req *dhcpv4.DHCPv4, source netip.Addr, unicast bool) DHCPMessage {
	m := DHCPMessage{
		Time: time.Now(), Type: req.MessageType().String(), Xid: req.TransactionID, Source: source, Unicast: unicast,
		Client: addrOf(req.ClientIPAddr), Requested: addrOf(req.RequestedIPAddress()), Server: addrOf(req.ServerIdentifier()),
		Secs: int(req.NumSeconds), Broadcast: req.IsBroadcast(),
	}
	for _, p := range req.ParameterRequestList() {
		m.Params = append(m.Params, p.Code())
	}
	if req.MessageType() == dhcpv4.MessageTypeRequest {
		m.State = m.state()
	}
	return m
}

// state tells the client's state from its REQUEST (RFC 2131 section 4.3.2).
func (m DHCPMessage) state() string {
	switch {
	case m.Server.IsValid():
		return "SELECTING"
	case m.Requested.IsValid():
		return "INIT-REBOOT"
	case m.Unicast:
		return "RENEWING"
	}
	return "REBINDING"
}

// addrOf is the address in ip, or none when ip is absent or 0.0.0.0.
func addrOf(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip.To4())
	if !ok || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

// Messages returns what clients sent since a time, oldest first.
func (d *DHCP) Messages(since time.Time) []DHCPMessage { return d.log.since(since) }

// Wait returns when cond holds for the messages since a time, or with ctx's error.
func (d *DHCP) Wait(ctx context.Context, since time.Time, cond func([]DHCPMessage) bool) error {
	return d.log.wait(ctx, since, cond)
}
