package main

import (
	"net/netip"
	"os"

	"ec2net/agent"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// Which cloud this is and how its metadata is asked: by which device, and where the routing must not decide.

// clouds are the values of --cloud beside auto.
func clouds() []metadata.Cloud { return []metadata.Cloud{metadata.CloudEC2, metadata.CloudAzure} }

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
	none := p.detected() == metadata.CloudNone
	if none {
		p.log.Info("not on a known cloud: nothing to do (--cloud overrides)")
	}
	return none
}

// source is the cloud's metadata; nothing is asked yet. ErrInvalid: the environment names an endpoint that is none.
func (p *program) source() (metadata.Source, error) {
	var s metadata.Source
	var err error
	if p.detected() == metadata.CloudAzure {
		s, err = metadata.NewAzure(metadata.AzureOptions{Host: p.host, Towards: p.towards})
	} else {
		s, err = metadata.NewEC2(metadata.EC2Options{Towards: p.towards})
	}
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
	if a := server.Addr(); a != netip.AddrFrom4([4]byte{169, 254, 169, 254}) && a != netip.MustParseAddr("fd00:ec2::254") {
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

// host is what the kernel and the leases tell of the interfaces. Azure's metadata does not say which one is the
// primary.
func (p *program) host() (metadata.Host, error) {
	h, err := plumb.ReadHost(agent.Platform()...)
	h.Leased = platformLease(p.store.All())
	return h, err
}

// platformLease is the MAC of the one interface whose lease names Azure's wire server (option 245). If several do, it
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
