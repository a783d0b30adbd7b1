package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"ec2net/agent"
	"ec2net/metadata"
)

// On a host that nobody configures the metadata can not be reached before an interface has a lease, and so it can not be
// asked which interfaces the cloud knows. All that can be of a cloud are started, as udev does at a boot; the units, or
// this process, then ask for a lease in turn.

// noDefaultRoute reports whether the host leaves by no interface, by IPv4.
func (p *program) noDefaultRoute() bool {
	list, err := net.Interfaces()
	if err != nil {
		return false
	}
	for _, i := range list {
		link, s, err := agent.OpenInterface(i.Name)
		if err != nil {
			continue
		}
		defer link.Close()
		nowhere, _, err := link.Nowhere(s.Index)
		return err == nil && nowhere
	}
	return false
}

// scanOffline starts every device that can be an interface of the cloud; the units, or this process, then ask for a
// lease in turn (agent/hosting.go). silent is why the cloud was not asked: the error if there is no such device.
func (p *program) scanOffline(ctx context.Context, only []string, silent error) error {
	conf, err := p.config()
	if err != nil {
		return err
	}
	list, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list the network interfaces: %w", err)
	}
	var found startList
	where, records := p.detected(), p.store.All()
	for _, i := range list {
		s, certain, err := agent.AsInterface(i.Name, where, records)
		switch why := p.notStarted(s, certain, err, nil, conf); {
		case len(only) > 0 && !slices.Contains(only, i.Name), len(only) == 0 && agent.UnderSystemd() && !ofCloud(s.Index, agent.Driver(i.Name)):
		case why == "":
			found.names, found.macs = append(found.names, i.Name), append(found.macs, s.MAC)
		case len(only) > 0 || (err == nil && !p.isSet(i.Name, s.MAC)):
			found.left = append(found.left, why)
		}
	}
	for _, why := range found.left {
		p.log.Info(why)
	}
	if len(found.names) == 0 {
		return silent
	}
	p.log.Infof("the host has no default route, so the metadata cannot be reached: starting %s, which ask for a lease in turn", agent.Plural(len(found.names), "interface", "interfaces"))
	if agent.UnderSystemd() {
		return p.startAll(ctx, found)
	}
	return p.upInTurn(ctx, found)
}

// ofCloud reports whether udev's rule (99-ec2net.rules) would start the interface's unit. A host may have other
// devices, which no cloud knows.
func ofCloud(index int, driver string) bool {
	return slices.Contains(metadata.Drivers(), driver) || agent.UdevProperty(os.DirFS("/"), index, "EC2NET_MANAGE") == "1"
}

// upInTurn sets interfaces up in this process. As soon as the first one has a lease, the cloud is asked which
// interfaces it knows, and the devices that it does not know stop waiting.
func (p *program) upInTurn(ctx context.Context, all startList) error {
	var known atomic.Pointer[[]metadata.MAC] // nil: nobody could be asked yet
	errs, strange := make([]error, len(all.names)), make([]func() bool, len(all.names))
	var wg sync.WaitGroup
	for k, name := range all.names {
		strange[k] = func() bool {
			list := known.Load()
			return list != nil && !slices.Contains(*list, all.macs[k])
		}
		wg.Go(func() {
			if errs[k] = p.upUnless(ctx, name, scanWait, strange[k]); errs[k] != nil {
				return
			}
			if _, list, err := p.cloudInterfaces(ctx); err == nil {
				known.Store(&list)
			}
		})
	}
	wg.Wait()
	var found startList
	var left []error
	primary, _ := p.store.All().Primary()
	for k, name := range all.names {
		if strange[k]() {
			p.log.Infof("the cloud does not know %s (%s)", name, all.macs[k])
			continue
		}
		if all.macs[k] == primary.MAC {
			found.primary = name
		}
		found.names, left = append(found.names, name), append(left, errs[k])
	}
	p.completePrimary(ctx, found, left)
	return p.summarize(found.names, left)
}
