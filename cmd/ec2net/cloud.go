package main

import (
	"net/netip"
	"os"
	"slices"
	"strings"

	"ec2net/agent"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// Which cloud this is and how its metadata is asked: by which device, and where the routing must not decide.

// clouds are the values of --cloud, in words for a person.
func clouds() string {
	names := append([]string{"auto"}, metadata.Clouds()...)
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// detected is the cloud that this machine runs in, by --cloud or by its firmware; CloudNone is no error.
func (p *program) detected() metadata.Cloud {
	if p.cloud != "auto" {
		return metadata.Cloud(p.cloud)
	}
	return metadata.Detect(os.DirFS("/sys"))
}

// outsideCloud reports whether the machine is in no known cloud, so that there is nothing to do, and says so in the
// log.
func (p *program) outsideCloud() bool {
	if p.detected() != metadata.CloudNone {
		return false
	}
	if marks := metadata.Marks(os.DirFS("/sys")); len(marks) > 1 {
		p.log.Warnf("the firmware has the marks of %d clouds, %v: nothing is done; choose one with --cloud", len(marks), marks)
		return true
	}
	p.log.Info("not on a known cloud: nothing to do (--cloud overrides)")
	return true
}

// source is the cloud's metadata; nothing is asked yet. ErrInvalid: the environment names an endpoint that is none.
func (p *program) source() (metadata.Source, error) {
	cloud, ok := metadata.ProviderOf(p.detected())
	if !ok {
		return nil, agent.ErrorOf(agent.ErrInvalid, "not on a known cloud, whose metadata could be asked (--cloud overrides)")
	}
	s, err := cloud.Open(metadata.Options{Host: p.host, Towards: p.towards})
	if err != nil {
		return nil, agent.ErrorOf(agent.ErrInvalid, "%w", err)
	}
	return s, nil
}

// options are those of an agent, from the command line, the configuration and the state folder. A source that cannot
// be made is no error here: an interface that needs no metadata works without.
func (p *program) options() (agent.Options, error) {
	conf, err := p.config()
	if err != nil {
		return agent.Options{}, err
	}
	o := agent.Options{Cloud: p.detected(), Config: conf, Store: p.store, Known: p.store.All(), Log: p.log}
	o.Source, o.NoSource = p.source()
	return o, nil
}

// towards names the device to ask the metadata by (SO_BINDTODEVICE, socket(7)), so that a VPN that takes all traffic
// does not take these requests; "": the routing decides. An endpoint of the user's own is asked where the routing
// says, and so is the cloud's if the kernel cannot tell.
func (p *program) towards(server netip.AddrPort) string {
	if !slices.Contains(p.detected().Traits().Metadata, server.Addr()) {
		return ""
	}
	name, err := plumb.Towards(server, uint32(os.Geteuid()), func() metadata.MAC {
		primary, _ := p.store.All().Primary()
		return primary.MAC
	})
	if err != nil {
		p.log.Debugf("look for the interface to ask the metadata by: %s", agent.OneLine(err))
	}
	return name
}

// host is what the kernel and the leases tell of the interfaces, for clouds whose metadata do not say which one is the
// primary: it is the one that leads to the servers.
func (p *program) host(servers ...netip.Addr) (metadata.Host, error) {
	h, err := plumb.ReadHost(servers...)
	h.Leased = platformLease(p.store.All())
	return h, err
}

// platformLease is the MAC of the one interface whose lease names the cloud's own server (option 245). If several do, it
// tells nothing.
func platformLease(known state.Records) (one metadata.MAC) {
	for _, r := range known {
		switch {
		case r.Lease == nil || !r.Lease.Wire.IsValid() || r.MAC == one:
		case one != (metadata.MAC{}):
			return metadata.MAC{}
		default:
			one = r.MAC
		}
	}
	return one
}
