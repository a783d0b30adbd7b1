package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ec2net/test/lab"
)

const curlFloor = "curl --parallel with the same requests on one connection"

// refreshes are the runs of a refresh that finds nothing new.
type refreshes struct {
	wall, cpu, requests, writes, dhcp series
	floorWall, floorCPU               series
}

// rows: a refresh happens every half a minute on every interface, so it is meant to cost next to nothing.
func (r refreshes) rows() []Row {
	return []Row{
		row("time", "ms", r.wall).beside(r.floorWall).most(10),
		row("CPU", "ms", r.cpu).beside(r.floorCPU),
		row("metadata requests", "", r.requests).most(8),
		row("DHCP messages", "", r.dhcp),
		row("changes of the kernel", "", r.writes).most(0),
	}
}

// fresh measures `ec2net up` on an interface that is set up already.
func (o options) fresh(ctx context.Context) (p Part, err error) {
	p = Part{Title: "refresh without news, by ec2net up in a new process", Floor: curlFloor}
	b, err := o.newBed(lab.Eth0(), lab.Eth1())
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	w, err := watchWrites(b.Instance())
	if err != nil {
		return p, err
	}
	defer w.close()
	if _, err := b.ec2net(ctx, "up", iface); err != nil {
		return p, err
	}
	var r refreshes
	for range o.runs {
		err := r.add(ctx, b, w, func() (cost, error) { return b.ec2net(ctx, "up", iface) })
		if err != nil {
			return p, err
		}
	}
	p.Rows = r.rows()
	return p, nil
}

// add makes one refresh, and then the same requests by curl.
func (r *refreshes) add(ctx context.Context, b *bed, w *writes, refresh func() (cost, error)) error {
	if err := w.reset(); err != nil {
		return err
	}
	begun := time.Now()
	c, err := refresh()
	if err != nil {
		return err
	}
	written, err := w.count()
	if err != nil {
		return err
	}
	requests := b.asked(begun)
	r.wall.time(c.wall)
	r.cpu.time(c.cpu)
	r.requests.add(float64(len(requests)))
	r.writes.add(float64(written))
	r.dhcp.add(float64(len(b.DHCP().Messages(begun))))
	floor, err := b.curl(ctx, requests)
	if err != nil {
		return fmt.Errorf("the floor: %w", err)
	}
	r.floorWall.time(floor.wall)
	r.floorCPU.time(floor.cpu)
	return nil
}

// refreshesEach is how often each resident process is made to refresh.
const refreshesEach = 20

// resident measures `ec2net run`: a refresh by it, and what it holds.
func (o options) resident(ctx context.Context) (p Part, err error) {
	p = Part{Title: "refresh without news, by a resident ec2net run (SIGHUP), and its size", Floor: curlFloor}
	b, err := o.newBed(lab.Eth0(), lab.Eth1())
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	var r refreshes
	var s sizes
	for range (o.runs + 3) / 4 {
		if err := b.oneResident(ctx, &r, &s); err != nil {
			return p, err
		}
	}
	p.Rows = append(r.rows(), s.rows()...)
	return p, nil
}

// sizes are what resident processes hold.
type sizes struct{ early, late, peak, threads, files, children series }

func (s sizes) rows() []Row {
	return []Row{
		row("RSS when ready", "MiB", s.early).most(16),
		row(fmt.Sprintf("RSS after %d refreshes", refreshesEach), "MiB", s.late).most(16),
		row("RSS at its most", "MiB", s.peak).most(16),
		row("threads", "", s.threads),
		row("open files", "", s.files),
		row("child processes", "", s.children).most(0),
	}
}

func (b *bed) oneResident(ctx context.Context, r *refreshes, s *sizes) (err error) {
	k, err := b.keep(ctx, iface)
	if err != nil {
		return err
	}
	if _, err := k.awaitReady(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.stop(ctx)) }()
	w, err := watchWrites(b.Instance())
	if err != nil {
		return err
	}
	defer w.close()
	pid := k.Process.Pid
	if _, err := settledCPU(pid); err != nil {
		return err
	}
	early, err := inspect(pid)
	if err != nil {
		return err
	}
	for range refreshesEach {
		if err := r.add(ctx, b, w, k.refreshCost); err != nil {
			return err
		}
	}
	late, err := inspect(pid)
	if err != nil {
		return err
	}
	s.add(early, late)
	return nil
}

func (s *sizes) add(early, late process) {
	s.early.add(early.rss)
	s.late.add(late.rss)
	s.peak.add(late.peak)
	s.threads.add(float64(late.threads))
	s.files.add(float64(late.files))
	started := late.children
	if late.forked {
		started++ // at least
	}
	s.children.add(float64(started))
}

// refreshCost is one refresh: the time until the record is renewed, and all CPU until the process rests.
func (k *keeper) refreshCost() (c cost, err error) {
	before, err := settledCPU(k.Process.Pid)
	if err != nil {
		return c, err
	}
	if c.wall, err = k.refresh(iface); err != nil {
		return c, err
	}
	after, err := settledCPU(k.Process.Pid)
	c.cpu = after - before
	return c, err
}
