package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ec2net/metadata"
	"ec2net/test/lab"
)

const iface = "eth1"

// eth1 is the interface that is plugged in. It is always the same one, so that the same requests and objects are its.
func eth1() lab.Interface {
	k := lab.Eth1()
	k.MAC, k.ID = metadata.MAC{0x02, 0xec, 0x20, 0, 0xff, 1}, "eni-0ec2bbbbbbbbbbbbb"
	return k
}

// work is what a plug takes: what has to be asked and written, whoever does it.
type work struct {
	requests []lab.Request
	batch    string
}

// plug measures from the moment that an interface is there to its first answer and to READY=1. udev and systemd,
// which would start ec2net, take no part in it.
func (o options) plug(ctx context.Context) (p Part, err error) {
	p = Part{
		Title: "an interface is plugged in",
		Floor: "one after the other: curl with the same requests on one connection, ip -batch with the same objects, udhcpc; ping: until answered, ready: all three",
	}
	b, err := o.newBed(lab.Eth0())
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	w, err := b.learn(ctx)
	if err != nil {
		return p, err
	}
	var ping, ready, floorPing, floorReady series
	for range o.runs {
		if err := b.plugged(ctx, &ping, &ready, byEC2net); err != nil {
			return p, err
		}
		if err := b.plugged(ctx, &floorPing, &floorReady, w.byHand); err != nil {
			return p, fmt.Errorf("the floor: %w", err)
		}
	}
	p.Rows = []Row{
		row("first answered ping on the EIP", "ms", ping).beside(floorPing),
		row("READY=1", "ms", ready).beside(floorReady).most(50),
	}
	return p, nil
}

// learn sets an interface up once, to see what that takes, and takes it away.
func (b *bed) learn(ctx context.Context) (w work, err error) {
	if err := b.Attach(eth1()); err != nil {
		return w, err
	}
	begun := time.Now()
	c, err := b.ec2net(ctx, "up", iface)
	if err != nil {
		return w, err
	}
	w.requests = b.asked(begun)
	if w.batch, err = only4(c.out); err != nil {
		return w, err
	}
	if w.batch == "" || len(w.requests) == 0 {
		return w, fmt.Errorf("ec2net up did %d requests and these changes: %q", len(w.requests), c.out)
	}
	if err := b.Detach(iface); err != nil {
		return w, err
	}
	_, err = b.ec2net(ctx, "down", iface)
	return w, err
}

// setUp sets the interface up and returns when all is done. done cleans up when the interface is gone.
type setUp func(context.Context, *bed) (took time.Duration, done func() error, err error)

// plugged plugs the interface in, has it set up, and takes it away again.
func (b *bed) plugged(ctx context.Context, ping, ready *series, set setUp) error {
	if err := b.Attach(eth1()); err != nil {
		return err
	}
	type answer struct {
		after time.Duration
		err   error
	}
	answered := make(chan answer, 1)
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	go func() {
		// A request every 2 ms: finer, and the asking would take the CPU from the answer.
		_, err := b.Client().Ping(ctx, lab.EIP2, lab.Ping{Timeout: 2 * time.Millisecond, Tries: int(patience / (2 * time.Millisecond))})
		answered <- answer{time.Since(begun), err}
	}()
	took, done, err := set(ctx, b)
	if err != nil {
		return err
	}
	a := <-answered
	ping.time(a.after)
	ready.time(took)
	return errors.Join(a.err, b.Detach(iface), done())
}

func byEC2net(ctx context.Context, b *bed) (time.Duration, func() error, error) {
	k, err := b.keep(ctx, iface)
	if err != nil {
		return 0, nil, err
	}
	took, err := k.awaitReady(ctx)
	return took, func() error { return k.finish(ctx) }, err // it ends by itself when the interface is gone
}

// byHand is the floor: what a script would do that knew beforehand what to write. It asks the metadata
// first, as ec2net must; DHCP needs the interface to be up.
func (w work) byHand(ctx context.Context, b *bed) (time.Duration, func() error, error) {
	asked, err := b.curl(ctx, w.requests)
	if err != nil {
		return 0, nil, err
	}
	written, err := b.batch(ctx, w.batch)
	if err != nil {
		return 0, nil, err
	}
	leased, err := b.run(ctx, "", "udhcpc", "-i", iface, "-f", "-n", "-q", "-t", "5", "-T", "1", "-s", "/bin/true")
	done := func() error {
		_, err := b.batch(ctx, "rule flush protocol 236\nlink set dev eth0 group default\n")
		return err
	}
	return asked.wall + written.wall + leased.wall, done, err
}
