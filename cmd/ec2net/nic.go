package main

import (
	"time"

	"github.com/sirupsen/logrus"

	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// nic is a network interface and all that is known of it: by the kernel, the metadata, the lease, the configuration and
// the records. With it a plan is made and a host is examined; nothing that it does changes anything.
type nic struct {
	link   *plumb.Link
	where  metadata.Cloud
	cloud  metadata.Source
	config config.Config
	iface  config.Interface
	keys   config.Facts // by which sections of the configuration match it
	store  state.Store
	log    logrus.FieldLogger
	stays  bool // run: somebody keeps the interface until it is gone

	begun time.Time // since when anybody is asked: the metadata, the lease
	snap  plumb.Snapshot
	role  role // by the last snapshot

	record    state.Record
	unsaved   bool     // there is news for it
	unwritten bool     // none on disk says how the interface was found, since it was plugged in
	formerly  []string // names that the interface is recorded under and has no more

	readings
	tenancy

	setUp    bool // it has been converged in this process
	degraded bool
	egress   egress
	nat      natPart
	said     said
}

// options are what is known of an interface beside the kernel. Of the command line they know nothing.
type options struct {
	cloud    metadata.Cloud  // that the machine runs in
	source   metadata.Source // that is asked; nil: there is none
	noSource error           // why there is none
	config   config.Config
	store    state.Store
	known    state.Records // that are in the store
	log      logrus.FieldLogger
}

// newNIC looks an interface up, and what an earlier process has left of it. Nobody else is asked. Its link is to be closed.
func newNIC(name string, o options) (*nic, error) {
	link, snap, err := openInterface(name)
	if err != nil {
		return nil, err
	}
	n := &nic{
		link: link, snap: snap, where: o.cloud, cloud: o.source, config: o.config, keys: keysOf(snap), store: o.store,
		log:     o.log.WithField("interface", snap.Name),
		begun:   time.Now(),
		tenancy: tenancy{leases: newLeases()},
		said:    newSaid(),
	}
	n.iface = o.config.For(n.keys)
	n.egress.rank = -1
	if err := n.remember(o.known); err != nil {
		link.Close()
		return nil, missing(name, err)
	}
	if n.role = n.roleOf(n.snap); n.role == isFunction {
		link.Close()
		return nil, belongs(n.snap)
	}
	return n, nil
}
