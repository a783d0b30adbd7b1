package agent

import (
	"net"
	"slices"

	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// The agent's side of standing.go: it gathers the evidence of which interface is the primary from the records, the
// routes and the connections.

// primaryFacts gathers the evidence; the costly part only where default routes are equal.
func (a *Agent) primaryFacts() (f primaryFacts, err error) {
	f = primaryFacts{self: a.snap.Index, mac: a.snap.MAC}
	records := a.store.All()
	if f.known = a.knownPrimary(records); f.known != (metadata.MAC{}) {
		return f, nil
	}
	lead, err := a.link.Lead(a.snap.Index)
	if f.elsewhere = lead.Elsewhere; err != nil || len(lead.Tied) == 0 {
		return f, err
	}
	open, err := a.link.Connections()
	if err != nil {
		a.log.Debugf("the open connections say nothing about the primary interface: %s", OneLine(err))
	}
	for _, index := range append([]int{a.snap.Index}, lead.Tied...) {
		name := nameOf(index)
		f.tied = append(f.tied, tiedInterface{
			name: name, index: index, slot: slotOf(devicePath(name)), connections: open[index], secondary: a.countsAsSecondary(index, records),
		})
	}
	return f, nil
}

// knownPrimary is the primary by the metadata: what they have answered this process, and what the records hold of their
// answers to others. A primary that this host does not have any more counts for nothing.
func (a *Agent) knownPrimary(records state.Records) metadata.MAC {
	mac := records.PrimaryMAC()
	if a.cloud != nil && a.cloud.Primary() != (metadata.MAC{}) {
		mac = a.cloud.Primary()
	}
	if !onThisHost(mac) {
		return metadata.MAC{}
	}
	return mac
}

// countsAsSecondary reports whether an interface has been set up as a secondary one without the metadata: this one by
// the kernel, another one by its record.
func (a *Agent) countsAsSecondary(index int, records state.Records) bool {
	if index == a.snap.Index {
		return slices.ContainsFunc(a.snap.Routes, func(r plumb.Route) bool { return r.Ours && r.Table == plumb.Table(plumb.DegradedN(index)) })
	}
	return slices.ContainsFunc(records, func(r state.Record) bool { return r.Index == index && r.Degraded() && !r.Hosts })
}

// isSecondary reports whether another interface is the primary, and notes by what evidence. If the kernel cannot tell,
// the answer is the careful one: no.
func (a *Agent) isSecondary() bool {
	f, err := a.primaryFacts()
	was := a.standing
	if a.standing = f.standing(); err != nil {
		a.standing = standing{}
	}
	a.dirty = a.dirty || a.standing != was
	return a.standing.secondary
}

// onThisHost reports whether an interface of this host has the MAC.
func onThisHost(mac metadata.MAC) bool {
	return slices.ContainsFunc(ownMACs(), func(m net.HardwareAddr) bool { return m.String() == mac.String() })
}

// ownMACs are the MAC addresses of this host. With arp_ignore = 0 each of its interfaces answers ARP for the
// addresses of the others (Documentation/networking/ip-sysctl.rst), which must not pass for an address conflict.
func ownMACs() []net.HardwareAddr {
	list, _ := net.Interfaces()
	var out []net.HardwareAddr
	for _, i := range list {
		if len(i.HardwareAddr) == 6 {
			out = append(out, i.HardwareAddr)
		}
	}
	return out
}
