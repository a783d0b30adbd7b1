package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Advert describes the router advertisements (RFC 4861 section 4.2) on an interface's link. The zero value is EC2's,
// or Azure's on its lab: the subnet's router for half an hour, addresses by DHCPv6, no prefix to make addresses from.
type Advert struct {
	Router    netip.Addr     // link-local; default the provider's
	Lifetime  time.Duration  // as a default router, whole seconds up to 18 h; default 30 min
	Interval  time.Duration  // between two of them; default 100 ms
	Routes    []netip.Prefix // by this router (RFC 4191); default none, on Google's cloud the subnet
	NoDefault bool           // the router is none for everything else; default on Google's cloud for secondary interfaces
	Slaac     []netip.Prefix // on the link, and for hosts to make addresses from (RFC 4862)
}

// withDefaults fills in what was left out. On Google's cloud the router is that of the subnet, and of everything else
// on the primary interface alone.
func (a Advert) withDefaults(k *iface) Advert {
	h := k.node.cloud.cfg.Cloud.habits()
	if h.lonely && a.Routes == nil && k.subnet.IPv6.IsValid() {
		a.Routes = []netip.Prefix{k.subnet.IPv6.Masked()}
		a.NoDefault = a.NoDefault || !k.primary
	}
	setIf(&a.Router, h.gateway6(k.subnet), !a.Router.IsValid())
	setIf(&a.Lifetime, 30*time.Minute, a.Lifetime == 0)
	setIf(&a.Interval, 100*time.Millisecond, a.Interval == 0)
	return a
}

func (a Advert) check() error {
	switch {
	case !a.Router.Is6() || !a.Router.IsLinkLocalUnicast():
		return fmt.Errorf("router %s is no IPv6 link-local address", a.Router)
	case a.Lifetime < time.Second || a.Lifetime > 65535*time.Second:
		return fmt.Errorf("lifetime %s: it is 1s to 65535s", a.Lifetime)
	case a.Interval < time.Millisecond:
		return fmt.Errorf("interval %s: it is at least 1ms", a.Interval)
	}
	return nil
}

// Advertiser is a router that advertises itself until it is withdrawn, stopped, or the cloud is closed.
type Advertiser struct {
	advert Advert
	mac    []byte // of the router
	fd     int
	index  int // of the fabric's end of the cable
	end    chan struct{}
	once   sync.Once
	done   sync.WaitGroup
}

// Advertise starts a router on an interface's link. The first advertisement is sent before it returns, if the
// interface is up; it has to be repeated because an interface that is set up later solicits only after a second.
func (c *Cloud) Advertise(key string, a Advert) (*Advertiser, error) {
	k, err := c.of(key)
	if err == nil {
		a = a.withDefaults(k)
		err = a.check()
	}
	if err != nil {
		return nil, fmt.Errorf("advertise: %w", err)
	}
	r := &Advertiser{advert: a, index: k.port.index, end: make(chan struct{})}
	if err := r.open(c.fabric); err != nil {
		return nil, fmt.Errorf("advertise %s on %s: %w", a.Router, key, err)
	}
	c.own(func() error { r.Stop(); return nil })
	_ = r.send(a.Lifetime) // the interface may be down
	r.done.Add(1)
	go r.repeat()
	return r, nil
}

// open gives the fabric the router's address, and makes a socket that sends from it.
func (r *Advertiser) open(fabric *Node) error {
	if err := addAddr(fabric.nl, linkIndex(r.index), netip.PrefixFrom(r.advert.Router, 128)); err != nil {
		return err
	}
	link, err := fabric.nl.LinkByIndex(r.index)
	if err != nil {
		return err
	}
	r.mac = link.Attrs().HardwareAddr
	return fabric.Do(func() (err error) {
		if r.fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6); err != nil {
			return fmt.Errorf("open an ICMPv6 socket: %w", err)
		}
		var none unix.ICMPv6Filter // lets nothing in: it is never read
		for i := range none.Data {
			none.Data[i] = ^uint32(0)
		}
		err = errors.Join(
			unix.SetsockoptICMPv6Filter(r.fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &none),
			unix.SetsockoptInt(r.fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255), // else it is not believed
			unix.SetsockoptInt(r.fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, r.index),
			unix.Bind(r.fd, &unix.SockaddrInet6{Addr: r.advert.Router.As16(), ZoneId: uint32(r.index)}),
		)
		if err != nil {
			return errors.Join(fmt.Errorf("prepare an ICMPv6 socket: %w", err), unix.Close(r.fd))
		}
		return nil
	})
}

func (r *Advertiser) repeat() {
	defer r.done.Done()
	tick := time.NewTicker(r.advert.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = r.send(r.advert.Lifetime) // the interface may be down, or gone
		case <-r.end:
			return
		}
	}
}

func (r *Advertiser) send(lifetime time.Duration) error {
	to := &unix.SockaddrInet6{Addr: netip.MustParseAddr("ff02::1").As16(), ZoneId: uint32(r.index)}
	if err := unix.Sendto(r.fd, r.advert.message(lifetime, r.mac), 0, to); err != nil {
		return fmt.Errorf("send a router advertisement: %w", err)
	}
	return nil
}

// message is the advertisement from its ICMPv6 header on; the kernel fills in the checksum.
func (a Advert) message(lifetime time.Duration, mac []byte) []byte {
	const managed = 0x80
	b := []byte{134, 0, 0, 0, 64, managed}
	router := lifetime
	if a.NoDefault {
		router = 0
	}
	b = binary.BigEndian.AppendUint16(b, uint16(router/time.Second))
	b = append(b, make([]byte, 8)...) // reachable time and retransmission: not said
	b = append(append(b, 1, 1), mac...)
	for _, p := range a.Slaac {
		const onLink, autonomous, day = 0x80, 0x40, 86400
		b = append(b, 3, 4, byte(p.Bits()), onLink|autonomous)
		b = binary.BigEndian.AppendUint32(b, day) // valid
		b = binary.BigEndian.AppendUint32(b, day) // preferred
		b = append(b, 0, 0, 0, 0)
		b = append(b, p.Masked().Addr().AsSlice()...)
	}
	for _, p := range a.Routes {
		b = append(b, 24, 3, byte(p.Bits()), 0)
		b = binary.BigEndian.AppendUint32(b, uint32(lifetime/time.Second))
		b = append(b, p.Masked().Addr().AsSlice()...)
	}
	return b
}

// Withdraw says that the router is one no more (lifetime 0, RFC 4861 section 6.2.5), and stops.
func (r *Advertiser) Withdraw() error {
	var err error
	r.finish(func() { err = r.send(0) })
	return err
}

// Stop goes silent, as a router does that died.
func (r *Advertiser) Stop() { r.finish(func() {}) }

func (r *Advertiser) finish(last func()) {
	r.once.Do(func() {
		close(r.end)
		r.done.Wait()
		last()
		_ = unix.Close(r.fd)
	})
}
