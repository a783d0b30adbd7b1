package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/vishvananda/netns"

	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/test/lab"
	"ec2net/test/stock"
)

const manyInterfaces, manyAddrs = 15, 50

// apply measures the kernel's side alone: many interfaces with many addresses, nothing asked of anybody.
func (o options) apply(ctx context.Context) (p Part, err error) {
	p = Part{
		Title: fmt.Sprintf("%d interfaces × %d addresses of each family", manyInterfaces, manyAddrs),
		Floor: "ip -batch with the same addresses, routes and rules, one for each family",
	}
	errs := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends, and its network with it
		errs <- o.applyHere(ctx, &p)
	}()
	return p, <-errs
}

func (o options) applyHere(ctx context.Context, p *Part) error {
	ns, err := netns.New()
	if err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	defer ns.Close()
	if err := stock.Sysctls(); err != nil {
		return err
	}
	var applied, whole, again, floor series
	var written batches
	steps := []struct {
		runs *series
		do   func() (time.Duration, error)
	}{
		{&applied, func() (took time.Duration, err error) { took, written, err = applyOnly(); return took, err }},
		{&floor, func() (time.Duration, error) { return written.run(ctx) }},
		{&whole, func() (time.Duration, error) { return reconcileAll(ctx) }},
	}
	for range o.runs {
		for _, s := range steps {
			if err := plugMany(ctx); err != nil {
				return err
			}
			took, err := s.do()
			if err != nil {
				return err
			}
			s.runs.time(took)
		}
		took, err := reconcileAll(ctx)
		if err != nil {
			return err
		}
		again.time(took)
	}
	p.Rows = []Row{
		row(fmt.Sprintf("%d objects applied", written.count()), "ms", applied).beside(floor).mostTimes(1.5),
		row("read, decided, applied and read again", "ms", whole).beside(floor),
		row("the same once more, nothing to do", "ms", again),
	}
	return nil
}

// flush takes all rules of ec2net away. ip(8) deletes while it reads the list, and of hundreds of rules
// misses some.
const flush = "rule flush protocol 236\nrule flush protocol 236\nrule flush protocol 236\nrule flush protocol 236\n"

// plugMany makes the interfaces anew, bare and down.
func plugMany(ctx context.Context) error {
	var b strings.Builder
	b.WriteString("link set dev lo up\n" + flush)
	for n := 1; n <= manyInterfaces; n++ {
		m := many(n)
		fmt.Fprintf(&b, "link add %s address %s type veth peer name gw%d\nlink set dev gw%d up\n", nameOf(n), m.MAC, n, n)
	}
	_, err := ipBatch(ctx, "-4", unplugMany()+b.String())
	if err == nil {
		_, err = ipBatch(ctx, "-6", flush)
	}
	return err
}

func unplugMany() string {
	if _, err := plumbRead(nameOf(1)); err != nil {
		return ""
	}
	var b strings.Builder
	for n := 1; n <= manyInterfaces; n++ {
		fmt.Fprintf(&b, "link del dev %s\n", nameOf(n))
	}
	return b.String()
}

func plumbRead(name string) (plumb.Snapshot, error) {
	l, err := plumb.Open(name)
	if err != nil {
		return plumb.Snapshot{}, err
	}
	defer l.Close()
	return l.Read()
}

func nameOf(n int) string { return fmt.Sprintf("eth%d", n) }

// many is the interface with number n, in a subnet of its own.
func many(n int) metadata.Interface {
	four, six := subnetsOf(n)
	return metadata.Interface{
		MAC: metadata.MAC{0x02, 0, 0, 0, 1, byte(n)}, ID: fmt.Sprintf("eni-0ec2%013x", n), DeviceNumber: n,
		Subnets4: metadata.Is([]netip.Prefix{four}), Subnets6: metadata.Is([]netip.Prefix{six}),
		Addrs4: metadata.Is(within(four, manyAddrs)), Addrs6: metadata.Is(within(six, manyAddrs)),
	}
}

// subnetsOf are the subnets of interface n, which the lab's VPC has room for.
func subnetsOf(n int) (four, six netip.Prefix) {
	ip := netip.MustParseAddr("2001:db8:ec2::").As16()
	ip[7] = byte(n)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(n), 0}), 24), netip.PrefixFrom(netip.AddrFrom16(ip), 64)
}

// within are addresses of a subnet, from the tenth on.
func within(p netip.Prefix, count int) (list []netip.Addr) {
	a := p.Addr()
	for range 10 {
		a = a.Next()
	}
	for range count {
		list, a = append(list, a), a.Next()
	}
	return list
}

func want(n int, s plumb.Snapshot) (plumb.State, error) {
	return plumb.Want(plumb.Input{Interface: many(n), Have: s, OwnAddress: true, MainTable: true, Gateway6: lab.Gateway6})
}

// applyOnly times the writing alone, and returns what was written.
func applyOnly() (took time.Duration, written batches, err error) {
	var text strings.Builder
	for n := 1; n <= manyInterfaces; n++ {
		one, plan, err := applyOne(n)
		if err != nil {
			return 0, written, fmt.Errorf("apply %s: %w", nameOf(n), err)
		}
		took += one
		text.WriteString(plan.String())
	}
	written, err = batchOf(text.String())
	return took, written, err
}

func applyOne(n int) (time.Duration, plumb.Plan, error) {
	l, err := plumb.Open(nameOf(n))
	if err != nil {
		return 0, nil, err
	}
	defer l.Close()
	have, err := l.Read()
	if err != nil {
		return 0, nil, err
	}
	state, err := want(n, have)
	if err != nil {
		return 0, nil, err
	}
	plan := plumb.Diff(have.State, state)
	begun := time.Now()
	done, err := l.Apply(plan, have)
	took := time.Since(begun)
	if err == nil && len(done) != len(plan) {
		err = errors.New("some of it was there already")
	}
	return took, plan, err
}

// reconcileAll sets every interface up as ec2net does, one after the other.
func reconcileAll(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	for n := 1; n <= manyInterfaces; n++ {
		l, err := plumb.Open(nameOf(n))
		if err != nil {
			return 0, err
		}
		err = l.Reconcile(ctx, func(s plumb.Snapshot) (plumb.State, error) { return want(n, s) }).Err()
		l.Close()
		if err != nil {
			return 0, fmt.Errorf("reconcile %s: %w", nameOf(n), err)
		}
	}
	return time.Since(begun), nil
}

// run writes both families, one after the other.
func (b batches) run(ctx context.Context) (took time.Duration, err error) {
	for _, one := range []struct{ family, commands string }{{"-4", b.four}, {"-6", b.six}} {
		more, err := ipBatch(ctx, one.family, one.commands)
		if err != nil {
			return 0, err
		}
		took += more
	}
	return took, nil
}

// ipBatch runs ip(8) in the calling thread's network namespace, with one family for default routes
// and rules.
func ipBatch(ctx context.Context, family, commands string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, "ip", family, "-batch", "-")
	cmd.Stdin = strings.NewReader(commands)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("ip %s -batch: %w\n%s%s", family, err, out.String(), failedLine(commands, out.String()))
	}
	return time.Since(begun), nil
}

// failedLine is the command that ip(8) says it failed at.
func failedLine(commands, said string) string {
	var n int
	_, after, _ := strings.Cut(said, "Command failed -:")
	lines := strings.Split(commands, "\n")
	if _, err := fmt.Sscan(after, &n); err != nil || n < 1 || n > len(lines) {
		return ""
	}
	return lines[n-1]
}
