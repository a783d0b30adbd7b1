package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"ec2net/test/lab"

	"golang.org/x/sys/unix"
)

// The addresses of seed 001's story.
var (
	vmPrimary  = netip.MustParseAddr("172.22.5.68")  // eth1, where SSH comes in
	vmOutside  = netip.MustParseAddr("172.22.5.4")   // eth2, where traffic shall leave
	vmInside   = netip.MustParseAddr("172.22.5.132") // eth3, where the neighbour's traffic is sent
	neighbour  = netip.MustParseAddr("172.22.5.140")
	everywhere = netip.MustParsePrefix("0.0.0.0/0")
)

// egressConfig is what makes it permanent.
const egressConfig = `[egress]
interface = "eth2"

[nat]
from = ["172.22.5.128/26"]
out = "eth2"
`

// egressStory is seed 001's: traffic leaves by the second interface, for a neighbour too, and SSH stays.
type egressStory struct {
	*demo
	vm      *lab.Node
	conf    string // where the configuration file is
	ssh     *lab.Stream
	keepers []*keeper
	running context.Context // ends with a reason when one of them does
	ended   context.CancelCauseFunc
}

// patience is how long the story waits for what has to come: it only ends a hang.
const patience = time.Minute

// keeper is "ec2net run" of one interface, as its systemd unit would run it.
type keeper struct {
	*lab.Cmd
	iface string
	log   lab.Log
}

func (d *egressStory) story() []step {
	return []step{
		{"A machine with three interfaces, SSH from the internet, a neighbour behind the third interface", d.threeInterfaces},
		{"By hand: the default route moved to eth2, address translation there", d.byHand},
		{"The machine is restarted", d.lost},
		{"The same by ec2net's configuration file", d.configured},
		{"Everything is restarted", d.restarted},
		{"eth2 is unplugged", d.unplugged},
	}
}

func (d *egressStory) threeInterfaces() (err error) {
	d.say("   eth1  %s, public address %s\n   eth2  %s, public address %s\n   eth3  %s, where the traffic of the neighbour (%s) is sent\n",
		vmPrimary, lab.EIP1, vmOutside, lab.EIP2, vmInside, neighbour)
	if d.vm, err = d.cloud.AddPeer("neighbour", neighbour); err != nil {
		return err
	}
	if err := d.cloud.AddRoute(lab.Route{Subnet: "subnet3", Prefix: everywhere, NextHop: vmInside}); err != nil {
		return err
	}
	d.running, d.ended = context.WithCancelCause(d.ctx)
	if err := d.listen(); err != nil {
		return err
	}
	return errors.Join(d.login(), d.through(d.cloud.Instance(), "eth1", vmPrimary), d.cutOff())
}

// cutOff wants the neighbour not to reach the internet.
func (d *egressStory) cutOff() error {
	_, err := d.vm.Ping(d.ctx, lab.ClientIP, lab.Ping{Timeout: quiet})
	if !errors.Is(err, lab.ErrNoReply) {
		return fmt.Errorf("the neighbour ought not to reach the internet; got %w", cmpError(err))
	}
	d.say("   neighbour -> internet: no reply\n")
	return nil
}

// listen starts the machine's sshd.
func (d *egressStory) listen() error {
	_, err := d.cloud.Instance().Echo(netip.AddrPortFrom(vmPrimary, 22))
	return err
}

// login opens a connection to the primary's public address that stays open.
func (d *egressStory) login() (err error) {
	ctx, cancel := context.WithTimeout(d.ctx, patience)
	defer cancel()
	if d.ssh, err = d.cloud.Client().Stream(ctx, netip.AddrPortFrom(lab.EIP1, 22)); err == nil {
		err = d.ssh.Alive(ctx)
	}
	if err != nil {
		return fmt.Errorf("SSH to %s: %w", lab.EIP1, err)
	}
	d.say("   client -> %s, port 22: connected\n", lab.EIP1)
	return nil
}

// connected wants the open connection to have lost nothing, and a new one to come about.
func (d *egressStory) connected() error {
	ctx, cancel := context.WithTimeout(d.ctx, patience)
	defer cancel()
	if err := d.ssh.Alive(ctx); err != nil {
		return fmt.Errorf("the open SSH connection: %w", err)
	}
	conn, err := d.cloud.Client().Dial(ctx, "tcp", netip.AddrPortFrom(lab.EIP1, 22).String())
	if err != nil {
		return fmt.Errorf("a new SSH connection: %w", err)
	}
	d.say("   client -> %s, port 22: the open connection goes on, a new one comes about\n", lab.EIP1)
	return conn.Close()
}

// through wants packets from a host to the internet to be answered, and to be seen on an interface's cable from an
// address. It tries until then: what makes it work may be on its way.
func (d *egressStory) through(from *lab.Node, iface string, as netip.Addr) error {
	wire, err := d.cloud.Capture(iface)
	if err != nil {
		return err
	}
	defer wire.Close()
	ctx, cancel := context.WithTimeout(d.running, patience)
	defer cancel()
	for {
		_, err := from.Ping(ctx, lab.ClientIP, lab.Ping{Timeout: quiet})
		if err == nil && len(wire.Packets(lab.FromInterface, lab.From(as), lab.To(lab.ClientIP), lab.Proto(unix.IPPROTO_ICMP))) > 0 {
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s -> internet by %s as %s: %w", from.Name, iface, as, context.Cause(ctx))
		}
	}
	d.say("   %s -> internet: answers; seen on %s's wire, from %s\n", from.Name, iface, as)
	return nil
}

// byHand is what seed 001's author did, up to where SSH is lost.
func (d *egressStory) byHand() error {
	if err := d.moveDefault(); err != nil {
		return err
	}
	if err := errors.Join(d.showIP("route"), d.through(d.vm, "eth2", vmOutside)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(d.ctx, quiet)
	defer cancel()
	if conn, err := d.cloud.Client().Dial(ctx, "tcp", netip.AddrPortFrom(lab.EIP1, 22).String()); err == nil {
		return errors.Join(errors.New("SSH still comes about, and should not"), conn.Close())
	}
	stuck, cancel := context.WithTimeout(d.ctx, quiet) // the other one is over by now
	defer cancel()
	if err := d.ssh.Alive(stuck); err == nil {
		return errors.New("the open SSH connection still works, and should not")
	}
	d.say("   client -> %s, port 22: no reply, and the open connection hangs: the answers leave by eth2\n", lab.EIP1)
	return nil
}

// lost is the end of what was done by hand.
func (d *egressStory) lost() error {
	if err := d.reboot(); err != nil {
		return err
	}
	d.say("   All that was typed is lost.\n")
	return errors.Join(d.login(), d.through(d.cloud.Instance(), "eth1", vmPrimary), d.cutOff())
}

// reboot restarts the machine with what it starts by itself, which is sshd.
func (d *egressStory) reboot() error {
	if err := d.cloud.Reboot(); err != nil {
		return err
	}
	d.keepers = nil
	d.running, d.ended = context.WithCancelCause(d.ctx)
	return d.listen()
}

func (d *egressStory) configured() error {
	if err := os.WriteFile(d.conf, []byte(egressConfig), 0o600); err != nil {
		return err
	}
	if err := d.show("cat", d.conf); err != nil {
		return err
	}
	if err := d.works(); err != nil {
		return err
	}
	return d.showIP("rule")
}

// works runs ec2net on all interfaces, as the units do, and wants everything at once.
func (d *egressStory) works() error {
	for _, iface := range []string{"eth1", "eth2", "eth3"} {
		if err := d.keep(iface); err != nil {
			return err
		}
	}
	for _, from := range []*lab.Node{d.cloud.Instance(), d.vm} {
		if err := d.through(from, "eth2", vmOutside); err != nil {
			return d.withLogs(err)
		}
	}
	return errors.Join(d.connected(), d.probed())
}

func (d *egressStory) keep(iface string) error {
	k := &keeper{Cmd: d.cloud.Instance().Command(d.ctx, d.ec2net, "run", iface, "--cloud", "azure", "--config", d.conf), iface: iface}
	k.Stdout, k.Stderr = &k.log, &k.log
	d.say("   $ ec2net run %s --cloud azure --config %s &\n", iface, d.conf)
	if err := k.Start(); err != nil {
		return err
	}
	d.keepers = append(d.keepers, k)
	go func(ended context.CancelCauseFunc) {
		_ = k.Wait() // how it ended is its exit status
		ended(fmt.Errorf("ec2net run %s has ended: %s", iface, k.ProcessState))
	}(d.ended)
	return nil
}

// withLogs shows what the keepers said before an error ends the story.
func (d *egressStory) withLogs(err error) error {
	for _, k := range d.keepers {
		d.say("\n   %s run %s:\n%s", filepath.Base(d.ec2net), k.iface, k.log.String())
	}
	return err
}

// probed wants the load balancer's probe of eth2 to be answered by eth2: a refusal will do.
func (d *egressStory) probed() error {
	iface, err := d.cloud.Probe(d.ctx, netip.AddrPortFrom(vmOutside, 80))
	if iface != "eth2" {
		return fmt.Errorf("the probe of %s was answered by %q: %w", vmOutside, iface, cmpError(err))
	}
	d.say("   %s -> %s: answered by eth2\n", lab.WireServer, vmOutside)
	return nil
}

func (d *egressStory) restarted() error {
	if err := d.reboot(); err != nil {
		return err
	}
	return errors.Join(d.login(), d.works())
}

// unplugged is what happens when the interface goes that all traffic leaves by.
func (d *egressStory) unplugged() error {
	d.running, d.ended = context.WithCancelCause(d.ctx) // the interface's keeper has nothing left to do, and ends
	if err := d.cloud.Detach("eth2"); err != nil {
		return err
	}
	if err := d.through(d.cloud.Instance(), "eth1", vmPrimary); err != nil {
		return d.withLogs(err)
	}
	return d.connected()
}
