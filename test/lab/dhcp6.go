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

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"golang.org/x/net/ipv6"
)

// DHCP6 is the cloud's DHCPv6 server (RFC 8415, stateful): it gives an interface its primary IPv6 address for ever, on
// Oracle's cloud all of them, and nothing to an interface without one. Hosts ask for it because router advertisements
// say so (Advertise).
type DHCP6 struct {
	cloud *Cloud
	conn  *ipv6.PacketConn
	udp   net.PacketConn
	serve sync.WaitGroup
	log   history[DHCP6Message]
}

// DHCP6Message is a message from a client and what came of it.
type DHCP6Message struct {
	Time      time.Time
	Interface string
	Type      string     // SOLICIT, REQUEST, …
	Reply     string     // ADVERTISE, REPLY or nothing
	Given     netip.Addr // the first one; invalid for none
}

func (m DHCP6Message) at() time.Time { return m.Time }

// allDHCP6 is where clients send to: all servers and relay agents on the link.
var allDHCP6 = &net.UDPAddr{IP: net.ParseIP("ff02::1:2")}

// forever is DHCPv6's infinite lifetime, 0xffffffff.
const forever = InfiniteLease

func startDHCP6(c *Cloud) (*DHCP6, error) {
	d := &DHCP6{cloud: c}
	var err error
	if d.udp, err = c.fabric.ListenPacket("udp6", netip.AddrPortFrom(netip.IPv6Unspecified(), dhcpv6.DefaultServerPort)); err != nil {
		return nil, fmt.Errorf("start the DHCPv6 server: %w", err)
	}
	d.conn = ipv6.NewPacketConn(d.udp)
	if err := d.conn.SetControlMessage(ipv6.FlagInterface, true); err != nil {
		return nil, errors.Join(fmt.Errorf("start the DHCPv6 server: %w", err), d.udp.Close())
	}
	d.serve.Add(1)
	go d.loop()
	return d, nil
}

// join makes the server listen on an interface's link.
func (d *DHCP6) join(p port) error {
	if err := d.conn.JoinGroup(&net.Interface{Index: p.index}, allDHCP6); err != nil {
		return fmt.Errorf("listen for DHCPv6 on %s: %w", p.name, err)
	}
	return nil
}

func (d *DHCP6) close() error {
	err := d.udp.Close()
	d.serve.Wait()
	return err
}

func (d *DHCP6) loop() {
	defer d.serve.Done()
	buf := make([]byte, 64<<10)
	for {
		n, cm, from, err := d.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || cm == nil {
			continue
		}
		req, err := dhcpv6.MessageFromBytes(buf[:n])
		k := d.cloud.dhcp.interfaceAt(cm.IfIndex)
		if err != nil || k == nil {
			continue
		}
		m := DHCP6Message{Time: time.Now(), Interface: d.cloud.label(k), Type: req.MessageType.String()}
		answer := answer6(k, req, &m)
		d.log.add(m)
		if answer != nil {
			_, _ = d.conn.WriteTo(answer.ToBytes(), &ipv6.ControlMessage{IfIndex: cm.IfIndex}, from) // the interface may be gone
		}
	}
}

// answer6 decides by RFC 8415 section 18.3, and notes the decision in m. It is nil when the server stays silent.
func answer6(k *iface, req *dhcpv6.Message, m *DHCP6Message) *dhcpv6.Message {
	id := dhcpv6.WithServerID(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: serverHardware(k)})
	with := []dhcpv6.Modifier{id}
	if lease := lease6(k, req); lease != nil {
		with = append(with, dhcpv6.WithOption(lease))
		if leased := k.leased6(); len(leased) > 0 {
			m.Given = leased[0]
		}
	}
	var out *dhcpv6.Message
	var err error
	switch {
	case req.MessageType == dhcpv6.MessageTypeSolicit && req.GetOneOption(dhcpv6.OptionRapidCommit) == nil:
		out, err = dhcpv6.NewAdvertiseFromSolicit(req, with...)
	case slices.Contains(answered6(), req.MessageType):
		out, err = dhcpv6.NewReplyFromMessage(req, with...)
	}
	if err != nil || out == nil {
		m.Given = netip.Addr{}
		return nil
	}
	m.Reply = out.MessageType.String()
	return out
}

// answered6 are the messages that are answered by a REPLY.
func answered6() []dhcpv6.MessageType {
	return []dhcpv6.MessageType{
		dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRebind,
		dhcpv6.MessageTypeConfirm, dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeInformationRequest,
	}
}

func (k *iface) leased6() []netip.Addr { return k.node.cloud.cfg.Cloud.habits().lease6(k) }

// lease6 is the client's association with the interface's addresses in it, or with the status that there is none; nil when
// the client asks for no address.
func lease6(k *iface, req *dhcpv6.Message) *dhcpv6.OptIANA {
	asked := req.Options.OneIANA()
	if asked == nil {
		return nil
	}
	out := &dhcpv6.OptIANA{IaId: asked.IaId, T1: forever, T2: forever}
	leased := k.leased6()
	for _, a := range leased {
		out.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: a.AsSlice(), PreferredLifetime: forever, ValidLifetime: forever})
	}
	if len(leased) == 0 {
		out.Options.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoAddrsAvail})
	}
	return out
}

func serverHardware(k *iface) net.HardwareAddr {
	mac := serverMAC(k)
	return mac[:]
}

// DHCP6 is the DHCPv6 server, or nil on EC2.
func (c *Cloud) DHCP6() *DHCP6 { return c.dhcp6 }

// Messages returns what clients sent since a time, oldest first.
func (d *DHCP6) Messages(since time.Time) []DHCP6Message { return d.log.since(since) }

// Wait returns when cond holds for the messages since a time, or with ctx's error.
func (d *DHCP6) Wait(ctx context.Context, since time.Time, cond func([]DHCP6Message) bool) error {
	return d.log.wait(ctx, since, cond)
}
