package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// The addresses of seed 001: SSH comes in by the primary, traffic shall leave by the second interface, that of the
// machine behind the third too.
var (
	seedPrimary = addr("172.22.5.68")
	seedOutside = addr("172.22.5.4")
	seedInside  = addr("172.22.5.132")
	seedTestVM  = addr("172.22.5.140")
)

// seed001Config is what makes it permanent.
const seed001Config = `[egress]
interface = "eth2"

[nat]
from = ["172.22.5.128/26"]
out = "eth2"
`

// seed001 is the seed's machine and its operator.
type seed001 struct {
	*lab.Cloud
	vm      *lab.Node
	conf    string
	session *lab.Stream
	keepers map[string]*kept
}

func newSeed001(t *testing.T, rpFilter int) *seed001 {
	t.Helper()
	cfg := lab.Seed001()
	cfg.RPFilter = rpFilter
	s := &seed001{Cloud: cloud(t, cfg), conf: write(t, seed001Config), keepers: map[string]*kept{}}
	vm, err := s.AddPeer("testvm", seedTestVM)
	must(t, err)
	s.vm = vm
	must(t, s.AddRoute(lab.Route{Subnet: "subnet3", Prefix: netip.MustParsePrefix("0.0.0.0/0"), NextHop: seedInside}))
	s.login(t)
	return s
}

// login starts sshd on the machine and opens a session to the primary's public address.
func (s *seed001) login(t *testing.T) {
	t.Helper()
	_, err := s.Instance().Echo(netip.AddrPortFrom(seedPrimary, 22))
	must(t, err)
	s.session, err = s.Client().Stream(t.Context(), netip.AddrPortFrom(lab.EIP1, 22))
	must(t, err)
	must(t, s.session.Alive(t.Context()))
}

// boot starts the keepers of all interfaces at the same time, as systemd does.
func (s *seed001) boot(t *testing.T) {
	t.Helper()
	for _, iface := range []string{"eth1", "eth2", "eth3"} {
		s.keepers[iface] = startWith(t, s.Cloud, iface, []string{"--config", s.conf})
	}
	for _, k := range s.keepers {
		k.notify.await(t, "READY=1")
	}
}

// leaves wants packets of a host to the internet to be answered, and to be seen on an interface's wire from an
// address, as soon as the keepers have decided; and none from another address from then on.
func (s *seed001) leaves(t *testing.T, from *lab.Node, iface string, as netip.Addr) {
	t.Helper()
	wire, err := s.Capture(iface)
	must(t, err)
	defer wire.Close()
	echo := []func(lab.Packet) bool{lab.FromInterface, lab.To(lab.ClientIP), lab.Proto(unix.IPPROTO_ICMP)}
	eventually(t, hang, fmt.Sprintf("%s reaches the internet by %s", from.Name, iface), func() bool {
		_, err := from.Ping(t.Context(), lab.ClientIP, lab.Ping{Timeout: 200 * time.Millisecond})
		return err == nil && len(wire.Packets(append(echo, lab.From(as))...)) > 0
	})
	settled := time.Now()
	for range 3 {
		reaches(t, from, lab.ClientIP, lab.Ping{})
	}
	others := func(p lab.Packet) bool { return p.Src != as && p.Time.After(settled) }
	if got := wire.Packets(append(echo, others)...); len(got) > 0 {
		t.Errorf("%s's wire: %d packets are not from %s: %+v", iface, len(got), as, got[0])
	}
}

// works wants all of the seed at once: traffic by the second interface, SSH by the first, and the host's servers by
// it too.
func (s *seed001) works(t *testing.T) {
	t.Helper()
	s.leaves(t, s.Instance(), "eth2", seedOutside)
	s.leaves(t, s.vm, "eth2", seedOutside)
	reaches(t, s.vm, seedPrimary, lab.Ping{})
	must(t, s.session.Alive(t.Context()))
	conn, err := s.Client().Dial(t.Context(), "tcp", netip.AddrPortFrom(lab.EIP1, 22).String())
	must(t, err)
	must(t, conn.Close())
	answers(t, s.Cloud, lab.EIP2)
	for _, server := range []netip.Addr{addr("169.254.169.254"), lab.WireServer} {
		reaches(t, s.Instance(), server, lab.Ping{})
	}
	for iface, a := range map[string]netip.Addr{"eth1": seedPrimary, "eth2": seedOutside, "eth3": seedInside} {
		ctx, cancel := context.WithTimeout(t.Context(), hang)
		got, err := s.Probe(ctx, netip.AddrPortFrom(a, 80)) // nobody listens: a refusal says by which interface
		cancel()
		if got != iface {
			t.Errorf("the load balancer's probe of %s is answered by %q: %v", a, got, err)
		}
	}
}

// killed ends all keepers at once, in the middle of a download of the neighbour's: nothing breaks, neither then nor when
// they start again.
func (s *seed001) killed(t *testing.T) {
	t.Helper()
	web, err := s.Client().Echo(netip.AddrPortFrom(lab.ClientIP, 0))
	must(t, err)
	download, err := s.vm.Stream(t.Context(), web.Addr)
	must(t, err)
	for _, k := range s.keepers {
		must(t, k.Process.Kill())
		<-k.ended
	}
	must(t, download.Alive(t.Context()))
	s.boot(t)
	s.works(t)
	must(t, download.Alive(t.Context()))
	must(t, download.Close())
}

// Seed 001: the author's machine, with strict, loose and no rp_filter. The open session lives through the change, the
// restart of everything brings back the same, and when the outside interface goes traffic takes the primary again.
func TestSeed001(t *testing.T) {
	t.Parallel()
	for rp := range 3 {
		t.Run(fmt.Sprintf("rp_filter %d", rp), func(t *testing.T) {
			t.Parallel()
			s := newSeed001(t, rp)
			s.leaves(t, s.Instance(), "eth1", seedPrimary)
			s.boot(t)
			s.works(t)
			must(t, s.session.Close())

			must(t, s.Reboot())
			s.leaves(t, s.Instance(), "eth1", seedPrimary)
			s.login(t)
			s.boot(t)
			s.works(t)

			s.killed(t)
			s.unplugged(t)
			must(t, s.session.Close())
			t.Logf("the metadata answered %v", s.IMDS().Stats().ByStatus)
		})
	}
}

// unplugged takes the outside interface away and gives it back: traffic takes the primary meanwhile, and nothing is
// passed on for others.
func (s *seed001) unplugged(t *testing.T) {
	t.Helper()
	iface, err := s.Interface("eth2")
	must(t, err)
	must(t, s.Detach("eth2"))
	s.keepers["eth2"].end(t)
	s.leaves(t, s.Instance(), "eth1", seedPrimary)
	eventually(t, hang, "the inside interface passes nothing on", func() bool { return forwarding(t, s.Cloud, "eth1", "eth3") == "0 0" })
	if rules := nftables(t, s.Cloud); rules != "" {
		t.Errorf("without the outside interface nftables has:\n%s", rules)
	}
	must(t, s.Attach(iface))
	s.keepers["eth2"] = startWith(t, s.Cloud, "eth2", []string{"--config", s.conf})
	s.works(t)
}

// What the sections ask for is taken away exactly, in whichever order the interfaces are taken down, and the session
// does not notice: as long as traffic leaves by eth2, the primary's rules are not let go of.
func TestSeed001Down(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{{"eth3", "eth2", "eth1"}, {"eth2", "eth1", "eth3"}, {"eth2", "eth3", "eth1"}} {
		t.Run(strings.Join(order, " "), func(t *testing.T) {
			t.Parallel()
			s := newSeed001(t, 1)
			before, passed := world(t, s.Cloud), forwarding(t, s.Cloud, "eth1", "eth2", "eth3")
			s.boot(t)
			s.works(t)
			for _, iface := range order {
				s.keepers[iface].stop(t)
			}
			says(t, ec2net(t, s.Cloud, exitFailed, "--config", s.conf, "down", "eth1"), "rolled back: without this interface", "would go by eth2")
			s.works(t) // stopping leaves all as it is, and so does that
			for _, iface := range order {
				ec2net(t, s.Cloud, exitOK, "--config", s.conf, "down", iface)
			}
			unchanged(t, s.Cloud, before, "down")
			if now := forwarding(t, s.Cloud, "eth1", "eth2", "eth3"); now != passed || nftables(t, s.Cloud) != "" {
				t.Errorf("forwarding is %s, was %s; nftables has:\n%s", now, passed, nftables(t, s.Cloud))
			}
			s.leaves(t, s.Instance(), "eth1", seedPrimary)
			must(t, s.session.Close())
		})
	}
}

// A connection of the neighbour's that begins while the interfaces are being set up, in whichever order, is never seen
// untranslated: where another program has the kernel track connections, it would stay so for as long as it lasts.
func TestSeed001NothingUntranslated(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{{"eth1", "eth2", "eth3"}, {"eth3", "eth1", "eth2"}} {
		t.Run(strings.Join(order, " "), func(t *testing.T) {
			t.Parallel()
			s := newSeed001(t, 1)
			out, status := on(t, s.Cloud, "nft", "add table inet fw; add chain inet fw f { type filter hook forward priority 0; }; add rule inet fw f ct state established accept")
			if status != 0 {
				t.Fatal(out)
			}
			wires := map[string]*lab.Capture{}
			for _, iface := range []string{"eth1", "eth2"} {
				wire, err := s.Capture(iface)
				must(t, err)
				wires[iface] = wire
			}
			s.talks(t)
			for _, iface := range order {
				s.keepers[iface] = startWith(t, s.Cloud, iface, []string{"--config", s.conf})
				s.keepers[iface].notify.await(t, "READY=1")
			}
			asked := []func(lab.Packet) bool{lab.FromInterface, lab.To(lab.ClientIP), lab.Proto(unix.IPPROTO_UDP)}
			ctx, cancel := context.WithTimeout(t.Context(), hang)
			defer cancel()
			if _, err := wires["eth2"].Wait(ctx, append(asked, lab.From(seedOutside))...); err != nil {
				t.Errorf("the neighbour's connection does not leave by eth2, translated: %v", err)
			}
			for iface, wire := range wires {
				if got := wire.Packets(append(asked, lab.From(seedTestVM))...); len(got) > 0 {
					t.Errorf("%d packets left by %s untranslated", len(got), iface)
				}
			}
			must(t, s.session.Close())
		})
	}
}

// talks has the neighbour send to the internet on one connection all the time, until the test ends.
func (s *seed001) talks(t *testing.T) {
	t.Helper()
	conn, err := s.vm.Dial(t.Context(), "udp", netip.AddrPortFrom(lab.ClientIP, 5353).String())
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
			if _, err := conn.Write([]byte("x")); errors.Is(err, net.ErrClosed) {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
}
